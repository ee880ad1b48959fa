import t, { type Test } from 'tap'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { resyncOf } from '../../kit/numbered.js'
import { OwedEvents } from '../../kit/owed-events.js'
import { LONG, publish, startProcess, waitForEvents } from '../../kit/processes.js'
import { RedisCluster } from '../../kit/redis-cluster.js'
import type { SseClient } from '../../kit/sse-client.js'

const KEY = 'pylon-sse'

/** Three masters, a replica of the one that holds the key, and processes that share it. */
async function startFleet(t: Test) {
  const cluster = await RedisCluster.start(t, KEY)
  if (cluster === undefined) return undefined
  const start = () => startProcess(t, redisStreams({ client: cluster.client(t), key: KEY, publishTimeout: LONG }))
  return { cluster, start, processes: [await start(), await start()] as const }
}

async function untilEnd(clients: readonly SseClient[]): Promise<void> {
  for (const client of clients) await client.until(({ data }) => data === '"end"', LONG)
}

t.test('no client misses an event when a replica in a Redis Cluster takes over, and back', async (t) => {
  const fleet = await startFleet(t)
  if (fleet === undefined) return
  const { cluster, processes } = fleet
  const present = [await processes[0].connect(), await processes[1].connect()]
  const leaver = await processes[0].connect()
  const owed = new OwedEvents(processes)
  await owed.more(50)
  await leaver.close()
  for (const server of [cluster.replica, cluster.master]) {
    await cluster.handOver(server)
    await owed.more(50)
  }
  await owed.end()
  const returned = await processes[1].connect({ lastEventId: leaver.lastEventId })
  await processes[0].app.sse.publish('end')
  await untilEnd([...present, returned])
  for (const events of [...present.map(({ events }) => events), [...leaver.events, ...returned.events]]) {
    const account = { delivered: owed.acknowledged, resyncs: 0, told: 0, silent: 0, twice: 0 }
    t.strictSame(owed.account(events), account)
  }
  t.strictSame(owed.errors, [])
})

t.test(
  'clients get a resync, also those that were away, if a killed master of a Redis Cluster takes events with it',
  async (t) => {
    const fleet = await startFleet(t)
    if (fleet === undefined) return
    const { cluster, processes, start } = fleet
    const { master, replica } = cluster
    const [present, leaver] = [
      [await processes[0].connect(), await processes[1].connect()],
      await processes[1].connect()
    ]
    await publish(processes[0], 1, 5)
    await waitForEvents([...present, leaver], 5)
    await master.cutReplicas()
    const owed = new OwedEvents(processes)
    await owed.more(50)
    await leaver.until(({ data }) => data.startsWith('{'), LONG)
    await leaver.close()
    await master.kill9()
    // The process may not know of the loss yet, and tells when it does.
    const hasty = await processes[0].connect({ lastEventId: leaver.lastEventId })
    await replica.admin.call('CLUSTER', 'FAILOVER', 'TAKEOVER')
    await owed.more(50)
    await owed.end()
    for (const client of present) await client.until((event) => resyncOf(event) !== undefined, LONG)
    const returned = [hasty]
    for (const { connect } of [...processes, await start()]) {
      const client = await connect({ lastEventId: leaver.lastEventId })
      t.ok(resyncOf(await client.next(LONG)), 'whoever was away may have missed what is lost')
      returned.push(client)
    }
    await processes[0].app.sse.publish('end')
    await untilEnd([...present, ...returned])
    for (const { events } of present) t.match(owed.account(events), { silent: 0, twice: 0 })
    for (const { events } of returned) t.match(owed.account([...leaver.events, ...events]), { silent: 0, twice: 0 })
  }
)
