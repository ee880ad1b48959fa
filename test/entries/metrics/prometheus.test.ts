import { spawnSync } from 'node:child_process'
import fastify from 'fastify'
import fastifyMetrics from 'fastify-metrics'
import { register as globalRegistry, Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import sseMetrics, { type SseMetricsOptions } from '../../../lib/entries/metrics/metrics.js'
import pylonSse, { type PylonSseOptions } from '../../../lib/index.js'
import { requireBinary } from '../../kit/binary.js'
import { stopClock } from '../../kit/clock.js'
import { Heard } from '../../kit/diagnostics.js'
import { valuesOf } from '../../kit/exposition.js'
import { LogLines } from '../../kit/log-lines.js'
import { startRedis } from '../../kit/redis-server.js'
import { type ServeOptions, serve } from '../../kit/server.js'
import { KERNEL_HOLDS, stuckClient } from '../../kit/slow-reader.js'

/** An app with a hub and its metrics in a registry of their own. */
async function measured(t: Test, sse: PylonSseOptions = {}, options: Omit<ServeOptions, 'sse'> = {}) {
  const register = new Registry()
  const s = await serve(t, {
    ...options,
    sse: false,
    setup: async (app) => {
      await app.register(pylonSse, sse)
      await app.register(sseMetrics, { register })
    }
  })
  return { ...s, register, values: async () => valuesOf(await register.metrics()) }
}

t.test('the metrics have the values of stats(), with a label for reasons', async (t) => {
  const clock = stopClock(t)
  const s = await measured(
    t,
    { shards: 1, overLimit: 'status', maxClients: 2, history: { events: 2 }, queueDepth: 2 },
    { transport: 'unix' }
  )
  const gone = new Heard(t, 'pylon-sse:client:disconnect')
  const reader = await s.connect()
  const stuck = await stuckClient(s)
  await s.connect()
  s.app.sse.broadcastMessage('x'.repeat(KERNEL_HOLDS.unix))
  await reader.next()
  for (let n = 1; n <= 4; n++) {
    s.app.sse.broadcast(n)
    await reader.next()
  }
  const during = await s.values()
  t.equal(during.get('pylon_sse_slowest_lag_events{hub="sse"}'), 2)
  stuck.resume()
  await stuck.until(({ data }) => data === '4')
  await stuck.close()
  await gone.at(0)
  clock.advance(7000)
  const values = await s.values()
  const stats = s.app.sse.stats()
  t.ok(stats.history.oldestAge! >= 6900, `${stats.history.oldestAge} ms`)
  const expected = {
    clients: 1,
    clients_accepted_total: 2,
    events_total: 5,
    deliveries_total: stats.deliveries,
    sent_bytes_total: stats.bytes,
    events_dropped_total: 2,
    slowest_lag_events: 0,
    ready: 1,
    history_events: 2,
    history_bytes: stats.history.bytes,
    history_oldest_age_seconds: stats.history.oldestAge! / 1000
  }
  for (const [name, value] of Object.entries(expected)) t.equal(values.get(`pylon_sse_${name}{hub="sse"}`), value, name)
  const byReason = {
    requests_rejected_total: stats.rejected,
    resyncs_total: stats.resyncs,
    disconnects_total: stats.disconnects
  }
  for (const [name, counts] of Object.entries(byReason)) {
    for (const [reason, count] of Object.entries(counts)) {
      t.equal(values.get(`pylon_sse_${name}{hub="sse",reason="${reason}"}`), count, `${name} ${reason}`)
    }
  }
  t.match(stats, { rejected: { serverFull: 1 }, resyncs: { overflow: 1 }, disconnects: { disconnected: 1 } })
  t.notOk(
    [...values.keys()].some((key) => key.startsWith('pylon_sse_backplane')),
    'of a backplane nothing, where there is none'
  )
})

t.test('histograms show the time to open, the life of streams, replays, flushes and delays', async (t) => {
  const clock = stopClock(t)
  const gone = new Heard(t, 'pylon-sse:client:disconnect')
  const s = await measured(
    t,
    { shards: 1, route: { onRequest: async () => clock.advance(30) } },
    { fastify: { logger: { level: 'silent', stream: new LogLines() } } }
  )
  const first = await s.connect()
  const id = await s.app.sse.publish(1)
  clock.advance(4)
  await first.next()
  for (let n = 2; n <= 6; n++) s.app.sse.broadcast(n)
  await first.take(5)
  await (await s.connect({ lastEventId: id })).take(5)
  clock.advance(20_000)
  await first.close()
  await gone.at(0)
  const values = await s.values()
  const of = (name: string, part: string, le = '') => values.get(`pylon_sse_${name}_${part}{${le}hub="sse"}`)
  t.equal(of('opening_duration_seconds', 'count'), 2)
  t.equal(of('opening_duration_seconds', 'sum'), 0.06)
  t.equal(of('opening_duration_seconds', 'bucket', 'le="0.025",'), 0)
  t.equal(of('opening_duration_seconds', 'bucket', 'le="0.05",'), 2)
  t.equal(of('stream_duration_seconds', 'count'), 1)
  t.ok(of('stream_duration_seconds', 'sum')! >= 20)
  t.equal(of('replay_events', 'sum'), 5)
  t.equal(of('replay_events', 'count'), 1)
  t.equal(of('flush_duration_seconds', 'count'), 2)
  t.equal(of('flush_duration_seconds', 'sum'), 0, 'the clock stands still amid a flush')
  t.equal(of('delivery_delay_seconds', 'count'), 2)
  t.equal(of('delivery_delay_seconds', 'sum'), 0.004)
})

t.test('metrics of a backplane show its connection, its lag, and waiting, lost and foreign events', async (t) => {
  const server = await startRedis(t)
  if (server === undefined) return
  const states = new Heard(t, 'pylon-sse:backplane:state')
  const s = await measured(
    t,
    { backplane: redisStreams({ url: server.url, maxPending: 2 }) },
    { fastify: { logger: { level: 'silent', stream: new LogLines() } } }
  )
  const of = async (name: string) => (await s.values()).get(`pylon_sse_backplane_${name}{hub="sse",backplane="redis"}`)
  t.equal(await of('connected'), 1)
  t.equal(await of('lag_seconds'), undefined, 'nothing before the first event')
  const reader = await s.connect()
  await server.admin.xadd('pylon-sse', '*', 'not', 'ours')
  await s.app.sse.publish(1)
  await reader.next()
  t.type(await of('lag_seconds'), 'number')
  t.equal(await of('foreign_entries_total'), 1)
  server.freeze()
  for (let n = 0; n < 3; n++) s.app.sse.broadcast(n)
  t.equal(await of('pending_events'), 2)
  await null
  t.equal(await of('lost_events_total'), 1)
  server.thaw()
  await reader.take(2)
  t.equal(await of('pending_events'), 0)
  await server.kill9()
  await states.at(1)
  t.equal(await of('connected'), 0)
  t.equal((await s.values()).get('pylon_sse_ready{hub="sse"}'), 0)
})

t.test('the exposition passes the linter of Prometheus', async (t) => {
  const promtool = requireBinary(t, 'promtool')
  if (promtool === undefined) return
  const gone = new Heard(t, 'pylon-sse:client:disconnect')
  const s = await measured(t)
  const reader = await s.connect()
  s.app.sse.broadcast(1)
  await reader.next()
  await reader.close()
  await gone.at(0)
  const text = await s.register.metrics()
  const { status, stdout, stderr } = spawnSync(promtool, ['check', 'metrics'], { input: text, encoding: 'utf8' })
  t.equal(`${stdout}${stderr}`, '')
  t.equal(status, 0)
  t.ok(text.includes('pylon_sse_stream_duration_seconds_sum'), 'and it was asked about all')
  const unhelped = [...text.matchAll(/^# TYPE (\S+)/gm)].filter(([, name]) => !text.includes(`# HELP ${name} `))
  t.strictSame(unhelped, [])
})

t.test(
  'labels are bounded: neither a topic, nor an address, nor the id of a client or an event is in them',
  async (t) => {
    const s = await measured(t, { authorizeTopics: () => true })
    const reader = await s.connect({ query: { topic: 'secret.topic' }, headers: { authorization: 'Bearer x' } })
    s.app.sse.broadcast(1, { topic: 'secret.topic', id: 'own-id', event: 'named' })
    await reader.next()
    const labels = new Set([...(await s.register.metrics()).matchAll(/[{,]([a-z]+)="/g)].map(([, label]) => label))
    t.strictSame([...labels].sort(), ['hub', 'le', 'reason'])
  }
)

t.test('hubs of one app share a registry, and differ in the label hub', async (t) => {
  const register = new Registry()
  const s = await serve(t, {
    sse: false,
    setup: async (app) => {
      await app.register(pylonSse)
      await app.register(pylonSse, { path: '/admin', decorator: 'admin' })
      await app.register(sseMetrics, { register })
      await app.register(sseMetrics, { register, decorator: 'admin', hub: 'the admins' })
    }
  })
  await s.connect()
  await s.connect()
  await s.connect({ path: '/admin' })
  const values = valuesOf(await register.metrics())
  t.equal(values.get('pylon_sse_clients{hub="sse"}'), 2)
  t.equal(values.get('pylon_sse_clients{hub="the admins"}'), 1)
  t.equal(values.get('pylon_sse_opening_duration_seconds_count{hub="the admins"}'), 1)
})

t.test('the metrics leave the registry with the last hub, so that another app can use it', async (t) => {
  const register = new Registry()
  for (let i = 0; i < 2; i++) {
    const app = fastify()
    await app.register(pylonSse)
    await app.register(sseMetrics, { register, namePrefix: 'live_' })
    t.match(await register.metrics(), /^live_clients\{hub="sse"\} 0$/m)
    await app.close()
    t.equal((await register.metrics()).trim(), '')
  }
})

t.test("the default registry is that of fastify-metrics, or else prom-client's own", async (t) => {
  const s = await serve(t, {
    sse: false,
    setup: async (app) => {
      await app.register(fastifyMetrics.default, { clearRegisterOnInit: true, defaultMetrics: { enabled: false } })
      await app.register(pylonSse)
      await app.register(sseMetrics)
    }
  })
  const { statusCode, body } = await s.app.inject('/metrics')
  t.equal(statusCode, 200)
  t.match(body, /^pylon_sse_clients\{hub="sse"\} 0$/m)
  await s.app.close()

  const app = fastify()
  await app.register(pylonSse)
  await app.register(sseMetrics)
  t.match(await globalRegistry.metrics(), /^pylon_sse_clients\{hub="sse"\} 0$/m)
  await app.close()
  t.notMatch(await globalRegistry.metrics(), /pylon_sse/)
})

t.test('invalid options are refused with an error that names them', async (t) => {
  const register = new Registry()
  const refused: [options: object, message: RegExp][] = [
    [{ decorator: 'live' }, /'decorator' is 'live', where the app has no hub/],
    [{ decorator: 'server' }, /'decorator' is 'server', where the app has no hub/],
    [{ decorator: '' }, /'decorator' got ''; it takes a name/],
    [{ hub: 7 }, /'hub' got a value of type number; it takes a name/],
    [{ namePrefix: '7-' }, /'namePrefix' got "7-"; it takes letters/],
    [{ namePrefix: 7 }, /'namePrefix' got 7; it takes letters/],
    [{ register: {} }, /'register' got a value of type object; it takes a Registry of prom-client/],
    [{ register }, /'hub' is 'sse', which the registry has already/]
  ]
  const first = fastify()
  t.teardown(() => first.close())
  await first.register(pylonSse)
  await first.register(sseMetrics, { register })
  for (const [options, message] of refused) {
    const app = fastify()
    await app.register(pylonSse)
    const registering = async () => app.register(sseMetrics, options as SseMetricsOptions)
    await t.rejects(registering, { code: 'PYLON_SSE_ERR_INVALID_OPTION', message })
    await app.close()
  }
})
