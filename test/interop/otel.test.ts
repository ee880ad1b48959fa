import { FastifyOtelInstrumentation } from '@fastify/otel'
import t from 'tap'
import { serve } from '../kit/server.js'

t.test('an onSend hook that an onRoute hook adds runs for a stream, before it begins', async (t) => {
  const s = await serve(t, {
    setup: (app) => {
      app.addHook('onRoute', (route) => {
        const added = async (_request: unknown, reply: { header(name: string, value: string): unknown }) => {
          reply.header('x-added', 'yes')
        }
        route.onSend = [route.onSend ?? [], added].flat() as NonNullable<typeof route.onSend>
      })
    }
  })
  for (const method of ['GET', 'HEAD']) {
    const reader = await s.connect({ method })
    t.equal(reader.status, 200)
    t.equal(reader.headers.get('x-added'), 'yes', method)
  }
})

t.test('beside @fastify/otel streams are carried, and their spans end', async (t) => {
  const otel = new FastifyOtelInstrumentation()
  const ended: string[] = []
  const started: string[] = []
  /** As much of a tracer as the plugin uses. */
  const tracer = {
    startSpan: (name: string) => {
      started.push(name)
      return {
        end: () => void ended.push(name),
        setAttribute: () => {},
        setAttributes: () => {},
        setStatus: () => {},
        recordException: () => {},
        updateName: () => {},
        isRecording: () => true,
        spanContext: () => ({ traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: 0 })
      }
    }
  }
  otel.setTracerProvider({ getTracer: () => tracer } as unknown as Parameters<typeof otel.setTracerProvider>[0])
  otel.enable()
  t.teardown(() => otel.disable())
  const s = await serve(t, {
    setup: async (app) => {
      await app.register(otel.plugin())
    }
  })
  const reader = await s.connect()
  s.app.sse.broadcast(1)
  t.equal((await reader.next()).data, '1')
  t.ok(started.includes('request'))
  t.strictSame(ended.toSorted(), started.toSorted(), 'also the span of the request, when the head is out')
})
