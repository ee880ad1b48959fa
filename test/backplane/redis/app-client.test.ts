import { once } from 'node:events'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { resyncOf } from '../../kit/numbered.js'
import { dataOf, eventually, LONG, publish, range, startProcess, waitForEvents } from '../../kit/processes.js'
import { RedisCluster } from '../../kit/redis-cluster.js'
import { type RedisServer, startRedis } from '../../kit/redis-server.js'

/** A client as an app has it. */
function clientOf(t: Test, server: RedisServer): Redis {
  const client = new Redis(server.clientOptions)
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  return client
}

async function end(client: Pick<Redis, 'disconnect' | 'once' | 'on' | 'emit'>): Promise<void> {
  const ended = once(client as Redis, 'end')
  client.disconnect()
  await ended
}

t.test("events are published although the app's client ended before the start", async (t) => {
  const server = await startRedis(t)
  if (server === undefined) return
  const client = clientOf(t, server)
  await once(client, 'ready')
  await end(client)
  const process = await startProcess(t, redisStreams({ client }))
  const reader = await process.connect()
  await publish(process, 1, 3)
  await waitForEvents([reader], 3)
  t.strictSame(dataOf(reader), ['1', '2', '3'])
  t.ok(process.app.sse.ready)
})

for (const how of ['disconnect', 'quit'] as const)
  t.test(`events are published after the app has ended its client by ${how}`, async (t) => {
    const server = await startRedis(t)
    if (server === undefined) return
    const client = clientOf(t, server)
    const process = await startProcess(t, redisStreams({ client }))
    const reader = await process.connect()
    await publish(process, 1, 3)
    const ended = once(client, 'end')
    client[how]()
    await ended
    await publish(process, 4, 6)
    await waitForEvents([reader], 6)
    t.strictSame(dataOf(reader).map(Number), range(1, 6))
    t.equal(client.status, 'end', 'the client is left as it is')
  })

t.test(
  "events that wait while the app's client ends are published in order, once, when the server is back",
  async (t) => {
    const server = await startRedis(t)
    if (server === undefined) return
    const client = clientOf(t, server)
    const process = await startProcess(t, redisStreams({ client, publishTimeout: LONG }))
    const other = await startProcess(t, redisStreams({ url: server.url }))
    const readers = [await process.connect(), await other.connect()]
    await publish(process, 1, 3)
    await server.kill9()
    await process.log.waitFor(/is out of reach/, LONG)
    const waiting = publish(process, 4, 150)
    await eventually(() => process.app.sse.stats().backplane!.pending === 147, 'the events wait')
    t.notOk(process.app.sse.ready)
    // It never connects again, whatever its status says.
    client.disconnect()
    await server.start()
    const ids = await waiting
    await waitForEvents(readers, 150)
    await process.log.waitFor(/is reached again/, LONG)
    t.ok(process.app.sse.ready)
    for (const reader of readers) {
      t.strictSame(dataOf(reader).map(Number), range(1, 150))
      t.strictSame(
        reader.events.slice(3).map(({ id }) => id),
        ids
      )
      t.notOk(reader.events.some(resyncOf))
    }
  }
)

t.test("events are published after the app's Cluster has ended", async (t) => {
  const cluster = await RedisCluster.start(t, 'pylon-sse')
  if (cluster === undefined) return
  const client = cluster.client(t)
  const process = await startProcess(t, redisStreams({ client }))
  const reader = await process.connect()
  await publish(process, 1, 3)
  await end(client as unknown as Redis)
  await publish(process, 4, 6)
  await waitForEvents([reader], 6)
  t.strictSame(dataOf(reader).map(Number), range(1, 6))
})

t.test('a process is not ready while it can read, but not publish', async (t) => {
  const server = await startRedis(t)
  if (server === undefined) return
  const process = await startProcess(t, redisStreams({ client: clientOf(t, server), publishTimeout: 2000 }))
  const { sse } = process.app
  const reader = await process.connect()
  await publish(process, 1, 1)
  // It takes no events as long as no replica follows it.
  await server.admin.config('SET', 'min-replicas-to-write', '1')
  await t.rejects(sse.publish('too early'), { code: 'PYLON_SSE_ERR_BACKPLANE_TIMEOUT' })
  t.notOk(sse.ready)
  t.notOk(sse.stats().backplane!.connected)
  const outage = await process.log.waitFor(/is out of reach/, LONG)
  t.match(JSON.stringify(outage), /NOREPLICAS/)
  await server.admin.config('SET', 'min-replicas-to-write', '0')
  await process.log.waitFor(/is reached again/, LONG)
  t.ok(sse.ready, 'also where nothing is published meanwhile')
  await publish(process, 2, 2)
  await reader.until(({ data }) => data === '2', LONG)
  // What is rejected for lack of time may have been appended after all.
  t.strictSame(
    dataOf(reader).filter((data) => data !== '"too early"'),
    ['1', '2']
  )
})
