import { Redis } from 'ioredis'
import t from 'tap'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { testLosses, testLostIds } from '../../kit/engine-losses.js'
import { resyncOf } from '../../kit/numbered.js'
import { dataOf, LONG, publish, range, startProcess, waitForEvents } from '../../kit/processes.js'
import { redisEngine } from '../../kit/redis-engine.js'
import { startRedis } from '../../kit/redis-server.js'

testLosses(t, redisEngine)

// It counts on from the time of the newest entry that it has: other entries get the very ids of those that are lost.
t.test('with a new master whose clock is behind', async (t) => {
  testLostIds(t, async (t) => {
    const engine = await redisEngine(t)
    if (engine === undefined) return undefined
    const admin = new Redis(engine.port)
    await admin.xadd('pylon-sse', `${Date.now() + 3_600_000}-0`, 'clock', 'ahead')
    admin.disconnect()
    return engine
  })
})

t.test('events of a stream that is renamed away and back are not delivered twice', async (t) => {
  const server = await startRedis(t)
  if (server === undefined) return
  const start = () => startProcess(t, redisStreams({ url: server.url }))
  const processes = [await start(), await start()] as const
  const clients = [await processes[0].connect(), await processes[1].connect()]
  const resyncs = () =>
    Promise.all(clients.map((client) => client.until((event) => resyncOf(event)?.reason === 'backplane', LONG)))
  await publish(processes[0], 1, 150)
  await waitForEvents(clients, 150)
  await server.admin.rename('pylon-sse', 'elsewhere')
  await resyncs()
  await publish(processes[1], 151, 160)
  await waitForEvents(clients, 160)
  await server.admin.rename('elsewhere', 'pylon-sse')
  await resyncs()
  await publish(processes[0], 161, 161)
  await waitForEvents(clients, 161)
  for (const client of clients) {
    t.strictSame(dataOf(client).map(Number), range(1, 161))
    t.equal(client.events.filter(resyncOf).length, 2)
  }
})
