import { AsyncLocalStorage } from 'node:async_hooks'
import { type Context, context, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import fastify from 'fastify'
import t, { type Test } from 'tap'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { DISTRIBUTIONS, FIGURES } from '../../../lib/entries/metrics/figures.js'
import sseTelemetry, { type SseTelemetryOptions } from '../../../lib/entries/metrics/opentelemetry.js'
import pylonSse, { type PylonSseOptions } from '../../../lib/index.js'
import { stopClock } from '../../kit/clock.js'
import { Heard } from '../../kit/diagnostics.js'
import { LogLines } from '../../kit/log-lines.js'
import { startRedis } from '../../kit/redis-server.js'
import { serve } from '../../kit/server.js'

/** As the SDK's context manager for Node, which is a package of its own. */
function keepContexts(t: Test): void {
  const storage = new AsyncLocalStorage<Context>()
  context.setGlobalContextManager({
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (active, callback, self, ...args) => storage.run(active, () => callback.call(self as never, ...args)),
    bind: (_active, target) => target,
    enable() {
      return this
    },
    disable() {
      return this
    }
  })
  t.teardown(() => context.disable())
}

/** An app with a hub whose metrics and spans are kept in memory. */
async function observed(t: Test, options: SseTelemetryOptions = {}, sse: PylonSseOptions = {}) {
  const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 3_600_000 })
  const meters = new MeterProvider({ readers: [reader] })
  const spans = new InMemorySpanExporter()
  const tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
  t.teardown(async () => {
    await meters.shutdown()
    await tracers.shutdown()
  })
  const tracer = tracers.getTracer('test')
  const s = await serve(t, {
    sse: false,
    fastify: { logger: { level: 'silent', stream: new LogLines() } },
    setup: async (app) => {
      app.addHook('onRequest', (request, _reply, done) => {
        const parent = tracer.startSpan('request')
        context.with(trace.setSpan(context.active(), parent), done)
        parent.end()
        request.headers['x-parent'] = parent.spanContext().spanId
      })
      await app.register(pylonSse, sse)
      await app.register(sseTelemetry, { meter: meters.getMeter('test'), tracer, ...options })
    }
  })
  return {
    ...s,
    streams: () => spans.getFinishedSpans().filter(({ name }) => name === 'sse.stream'),
    parents: () => spans.getFinishedSpans().filter(({ name }) => name === 'request'),
    async collected() {
      metrics.reset()
      await meters.forceFlush()
      const all = metrics.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
      return new Map(all.map((metric) => [metric.descriptor.name, metric]))
    }
  }
}

const ms = ([seconds, nanos]: [number, number]) => seconds * 1000 + nanos / 1e6

t.test('OpenTelemetry gets the same metrics as Prometheus, with units', async (t) => {
  const server = await startRedis(t)
  if (server === undefined) return
  const gone = new Heard(t, 'pylon-sse:client:disconnect')
  const s = await observed(t, {}, { backplane: redisStreams({ url: server.url }) })
  const first = await s.connect()
  const id = await s.app.sse.publish(1)
  await first.next()
  await (await s.connect({ lastEventId: id })).close()
  await gone.at(0)
  const metrics = await s.collected()
  t.strictSame([...metrics.keys()].sort(), [...FIGURES, ...DISTRIBUTIONS].map(({ name }) => `pylon_sse.${name}`).sort())
  const of = (name: string) => metrics.get(`pylon_sse.${name}`)!
  const hub = { 'pylon_sse.hub': 'sse' }
  t.match(of('clients'), { descriptor: { unit: '{client}' }, dataPoints: [{ value: 1, attributes: hub }] })
  t.match(of('clients.accepted').dataPoints, [{ value: 2 }])
  t.match(of('sent'), { descriptor: { unit: 'By' }, dataPoints: [{ value: s.app.sse.stats().bytes }] })
  t.match(of('disconnects').dataPoints, [{ value: 1, attributes: { ...hub, 'pylon_sse.reason': 'disconnected' } }])
  t.match(of('backplane.connected').dataPoints, [{ value: 1, attributes: { ...hub, 'pylon_sse.backplane': 'redis' } }])
  t.match(of('opening.duration'), { descriptor: { unit: 's' }, dataPoints: [{ value: { count: 2 } }] })
  t.match(of('stream.duration').dataPoints, [{ value: { count: 1 }, attributes: hub }])
  t.match(of('replay.events').dataPoints, [{ value: { count: 1 } }])
})

t.test("a stream's span ends with its headers, has its duration, and is a child of its request's", async (t) => {
  keepContexts(t)
  const clock = stopClock(t)
  const gone = new Heard(t, 'pylon-sse:client:disconnect')
  const s = await observed(t, {}, { route: { onRequest: async () => clock.advance(40) } })
  const first = await s.app.sse.publish(0)
  s.app.sse.broadcast(1)
  const stream = await s.connect({ lastEventId: first })
  const [client] = s.app.sse.clients
  await stream.next()
  t.strictSame(s.streams(), [], 'it is exported with its end')
  clock.advance(90_000)
  client!.close()
  await gone.at(0)
  const [span] = s.streams()
  t.match(span!.attributes, {
    'pylon_sse.hub': 'sse',
    'pylon_sse.client.id': client!.id,
    'pylon_sse.client.resumed': true,
    'pylon_sse.replay.events': 1,
    'pylon_sse.stream.duration': 90,
    'pylon_sse.reason': 'closed',
    'http.route': '/events'
  })
  t.equal(Math.round(ms(span!.endTime) - ms(span!.startTime)), 40, 'so long it took to open')
  const [parent] = s.parents()
  t.equal(span!.parentSpanContext!.spanId, parent!.spanContext().spanId)
})

t.test(
  "with spans: 'end' it lasts as long as the stream; a resync is an event of it, an error its status",
  async (t) => {
    const clock = stopClock(t)
    const gone = new Heard(t, 'pylon-sse:client:disconnect')
    const onConnect: PylonSseOptions['onConnect'] = (_client, { url }) => {
      if (url.includes('fail')) throw new Error('of the app')
    }
    const s = await observed(t, { spans: 'end' }, { onConnect, history: { events: 1 } })
    const first = await s.app.sse.publish(0)
    for (const n of [1, 2, 3]) s.app.sse.broadcast(n)
    const stream = await s.connect({ lastEventId: first })
    await stream.next()
    await (await s.connect({ lastEventId: 'unknown' })).next()
    await s.connect({ query: { fail: '' } })
    await gone.at(0)
    clock.advance(5000)
    for (const client of s.app.sse.clients) client.close()
    await gone.at(2)
    const [failed, expired, unknown] = s.streams()
    t.match(failed, { status: { code: 2 }, attributes: { 'pylon_sse.reason': 'error' } })
    t.ok(ms(expired!.endTime) - ms(expired!.startTime) >= 5000)
    t.match(expired!.events, [{ name: 'resync', attributes: { 'pylon_sse.reason': 'expired', 'pylon_sse.missed': 3 } }])
    t.strictSame(
      unknown!.events.map(({ attributes }) => attributes),
      [{ 'pylon_sse.reason': 'unknown' }]
    )
  }
)

t.test('spans: false creates no spans, meter: false no metrics, and hubs are kept apart', async (t) => {
  const gone = new Heard(t, 'pylon-sse:client:disconnect')
  const without = await observed(t, { spans: false })
  const other = await observed(t, { meter: false, hub: 'other' })
  await (await without.connect()).close()
  await gone.at(0)
  await (await other.connect()).close()
  await gone.at(1)
  t.strictSame(without.streams(), [])
  t.equal(other.streams().length, 1)
  t.equal(other.streams()[0]!.attributes['pylon_sse.hub'], 'other')
  t.equal((await other.collected()).size, 0)
  t.match((await without.collected()).get('pylon_sse.opening.duration')!.dataPoints, [{ value: { count: 1 } }])
})

t.test('without an SDK the plugin does nothing and keeps no memory, also after the app has closed', async (t) => {
  const gone = new Heard(t, 'pylon-sse:client:disconnect')
  const app = fastify()
  await app.register(pylonSse)
  await app.register(sseTelemetry)
  await app.inject({ url: '/events', payloadAsStream: true })
  await app.close()
  t.match(await gone.at(0), { reason: 'shutdown' })

  const closed = await observed(t)
  await closed.app.close()
  t.notOk((await closed.collected()).has('pylon_sse.clients'))
})

t.test('invalid options are refused with an error that names them', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(pylonSse)
  const registering = async () => app.register(sseTelemetry, { spans: 'start' } as unknown as SseTelemetryOptions)
  await t.rejects(registering, { message: /'spans' got "start"; it takes 'head', 'end' or false/ })
})
