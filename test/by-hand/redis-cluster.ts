import t from 'tap'
import { redisStreams } from '../../lib/backplane/redis/redis-streams.js'
import { LONG, publish, startProcess, waitForEvents } from '../kit/backplane-faults.js'
import { resyncOf } from '../kit/numbered.js'
import { OwedEvents } from '../kit/owed-events.js'
import { RedisCluster } from '../kit/redis-cluster.js'

const KEY = 'pylon-sse'

t.test('in a Redis Cluster of three masters', async (t) => {
  const cluster = await RedisCluster.start(t, KEY)
  if (cluster === undefined) return
  const { master, replica } = cluster
  const start = () => startProcess(t, redisStreams({ client: cluster.client(t), key: KEY }))
  const processes = [await start(), await start()] as const

  await t.test('nobody misses anything when the replica takes over, and back', async (t) => {
    const present = [await processes[0].connect(), await processes[1].connect()]
    const leaver = await processes[0].connect()
    const owed = new OwedEvents(processes)
    await owed.more(100)
    await leaver.close()
    for (const server of [replica, master]) {
      await server.admin.call('CLUSTER', 'FAILOVER')
      await server.waitForPromotion()
      await owed.more(100)
    }
    await owed.end()
    const returned = await processes[1].connect({ lastEventId: leaver.lastEventId })
    await processes[0].app.sse.publish('end')
    for (const client of [...present, returned]) await client.until(({ data }) => data === '"end"', LONG)
    for (const events of [...present.map(({ events }) => events), [...leaver.events, ...returned.events]]) {
      const account = { delivered: owed.acknowledged, resyncs: 0, told: 0, silent: 0, twice: 0 }
      t.strictSame(owed.account(events), account)
    }
    t.strictSame(owed.errors, [])
  })

  await t.test('what a master has lost with its life is told, also to a client that was away', async (t) => {
    const [present, leaver] = [await processes[0].connect(), await processes[1].connect()]
    await publish(processes[0], 1, 5)
    await waitForEvents([present, leaver], 5)
    await master.cutReplicas()
    const owed = new OwedEvents(processes)
    await owed.more(50)
    await leaver.until(({ data }) => data.startsWith('{'), LONG)
    await leaver.close()
    await cluster.setFailover(true)
    await master.kill9()
    await replica.waitForPromotion()
    await owed.more(50)
    await owed.end()
    const late = await start()
    const returned = []
    for (const { connect } of [...processes, late]) {
      const client = await connect({ lastEventId: leaver.lastEventId })
      t.ok(resyncOf(await client.next(LONG)), 'whoever was away may have missed what is lost')
      returned.push(client)
    }
    await processes[0].app.sse.publish('end')
    for (const client of [present, ...returned]) await client.until(({ data }) => data === '"end"', LONG)
    for (const client of [present, ...returned]) {
      const events = client === present ? present.events : [...leaver.events, ...client.events]
      t.match(owed.account(events), { silent: 0, twice: 0 })
    }
    t.ok(present.events.some(resyncOf), 'whoever was there is told')
  })
})
