import compress from '@fastify/compress'
import cookie from '@fastify/cookie'
import type { FastifyReply } from 'fastify'
import t from 'tap'
import type { SseClient } from '../../lib/index.js'
import { serve } from '../kit/server.js'

t.test('headers that hooks set come with the stream, whether they are added before or after the route', async (t) => {
  const s = await serve(t, {
    setup: async (app) => {
      app.get('/stream', (request, reply) => {
        reply.header('x-handler', '1')
        return app.sse.stream(request, reply)
      })
      await app.register(cookie)
      await app.register(compress)
      app.addHook('onSend', async (_request, reply) => {
        reply.header('x-hook', '1')
        ;(reply as FastifyReply & { setCookie(name: string, value: string): void }).setCookie('a', 'b')
      })
    }
  })
  const client = await s.connect({ path: '/stream', headers: { 'accept-encoding': 'gzip, br' } })
  t.strictSame([client.headers.get('x-handler'), client.headers.get('x-hook')], ['1', '1'])
  t.match(client.headers.get('set-cookie'), /^a=b/)
  t.equal(client.headers.get('content-encoding'), null)
  s.app.sse.broadcast(1)
  t.equal((await client.next()).data, '1')
})

t.test('a hook that makes something else of the stream is answered with an error, and holds no slot', async (t) => {
  const { PassThrough, Readable } = await import('node:stream')
  const hooks: Record<string, (payload: InstanceType<typeof Readable>) => unknown> = {
    piped: (payload) => payload.pipe(new PassThrough()),
    read: (payload) => payload.on('data', () => {})
  }
  const s = await serve(t, {
    sse: { maxClientsPerIp: 1 },
    setup: (app) => {
      for (const [name, make] of Object.entries(hooks)) {
        const onSend = async (_request: unknown, _reply: unknown, payload: unknown) =>
          payload instanceof Readable ? make(payload) : payload
        app.get(`/${name}`, { onSend }, (request, reply) => app.sse.stream(request, reply))
      }
    }
  })
  for (const name of Object.keys(hooks)) {
    const response = await fetch(`${s.url}/${name}`)
    t.match(await response.json(), { code: 'PYLON_SSE_ERR_STREAM_CONSUMED' }, name)
    t.equal(s.app.sse.clientCount, 0)
  }
  t.equal((await s.connect()).status, 200, 'the slot is free')
})

t.test('client.signal and request.signal abort when such a stream ends', async (t) => {
  const aborted: string[] = []
  const s = await serve(t, {
    setup: (app) => {
      app.post('/stream', (request, reply) => {
        request.signal.addEventListener('abort', () => aborted.push('request'))
        const onConnect = ({ signal }: SseClient) => signal.addEventListener('abort', () => aborted.push('client'))
        return app.sse.stream(request, reply, { onConnect })
      })
    }
  })
  const client = await s.connect({ path: '/stream', method: 'POST' })
  s.app.sse.broadcast(1)
  await client.next()
  await client.close()
  while (aborted.length < 2) await new Promise(setImmediate)
  t.strictSame(aborted.sort(), ['client', 'request'])
})
