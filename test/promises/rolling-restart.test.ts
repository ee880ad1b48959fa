import t, { type Test } from 'tap'
import { Cluster, type ClusterEngine, Wanderer } from '../kit/cluster.js'
import { startNats } from '../kit/nats-server.js'
import { startRedis } from '../kit/redis-server.js'

const PROCESSES = 3
/** What an orchestrator gives a process at the least, ms, before it kills it. */
const GRACE = 10_000

/** Restarts every process, one after the other, while all publish and the clients wander between them. */
async function restartAll(t: Test, engine: ClusterEngine, clients: number): Promise<void> {
  const cluster = await Cluster.start(t, engine, PROCESSES)
  const wanderers = Array.from({ length: clients }, () => new Wanderer(t, cluster))
  for (const wanderer of wanderers) await wanderer.begin()
  const journeys = Promise.all(wanderers.map((wanderer) => wanderer.wander()))
  await Promise.all(cluster.processes.map((process) => process.publish()))

  const published = new Map<string, number>()
  for (let place = 0; place < PROCESSES; place++) {
    const end = await cluster.restart(place)
    published.set(end.life, end.published)
    t.equal(end.code, 0, 'it ends by itself')
    t.ok(end.ms < GRACE, `${end.ms} ms after it was told to`)
  }
  for (const process of cluster.processes) published.set(process.life, await process.stop())
  cluster.processes[0]!.end()
  await journeys

  const [first, ...others] = wanderers
  const log = first!.events
  t.equal(new Set(log.map(({ id }) => id)).size, log.length, 'no event comes twice')
  for (const [life, count] of published) {
    t.ok(count > 0, `${life} has published ${count}`)
    const numbers = log.map(({ data }) => /^"(\w+) (\d+)"$/.exec(data)).flatMap((m) => (m?.[1] === life ? +m[2]! : []))
    // What a process was not told by the time it closed may have arrived, or not.
    t.ok(numbers.length >= count, `none of ${life} is lost`)
    t.strictSame(
      numbers,
      numbers.map((_n, i) => i + 1),
      `all of ${life} are in order`
    )
  }
  const isSame = others.every(({ events }) => JSON.stringify(events) === JSON.stringify(log))
  t.ok(isSame, 'every client has had the same')
  t.strictSame(
    wanderers.flatMap(({ resyncs }) => resyncs),
    [],
    'none was told that it missed something'
  )
  const streams = wanderers.reduce((sum, { streams }) => sum + streams, 0)
  t.ok(streams >= 2 * clients, `they have had ${streams} streams`)
}

t.test('a rolling restart under load loses no event for 300 clients, and gives none twice', async (t) => {
  const server = await startRedis(t)
  if (server !== undefined) await restartAll(t, { name: 'redis', options: { url: server.url } }, 300)
})

t.test('nor does one over JetStream', async (t) => {
  const server = await startNats(t)
  if (server !== undefined) await restartAll(t, { name: 'nats', options: server.clientOptions }, 30)
})
