import t from 'tap'
import { jetStream } from '../../lib/backplane/nats/jetstream.js'
import { redisStreams } from '../../lib/backplane/redis/redis-streams.js'
import { whileComing } from '../../lib/backplane/within.js'
import { join, parcels } from '../kit/backplane-listener.js'
import { startNats } from '../kit/nats-server.js'
import { startRedis } from '../kit/redis-server.js'
import { TcpProxy } from '../kit/tcp-proxy.js'

const MIB = 1024 * 1024
const BOUNDS = { events: 10_000, bytes: 16 * MIB }
/** So slow that the whole takes longer than any one answer may. */
const RATE = 400_000
const EVENTS = 160
const BODY = 'x'.repeat(10_000)

t.jobs = 2

t.test('a process on a slow network loads its history from Redis, however long that takes', async (t) => {
  const server = await startRedis(t)
  if (server === undefined) return
  const near = redisStreams({ url: server.url })
  t.teardown(() => near.close())
  await join(near)
  for (let i = 0; i < EVENTS; i += 20) await near.publish(parcels(...new Array<string>(20).fill(BODY)))
  const wire = await TcpProxy.to(t, server.port, { rate: RATE })
  const far = redisStreams({ url: `redis://127.0.0.1:${wire.port}` })
  t.teardown(() => far.close())
  const since = performance.now()
  const { history, listener } = await join(far, BOUNDS)
  t.ok(performance.now() - since > 3000, 'it has taken longer than an answer may')
  t.equal(history.length, EVENTS)
  await near.publish(parcels('live'))
  t.equal((await listener.waitForEntries(1))[0]!.message.body, 'live')
})

t.test('a process on a slow network loads its history from JetStream, however long that takes', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const near = jetStream({ servers: server.servers })
  t.teardown(() => near.close())
  await join(near)
  for (let i = 0; i < EVENTS; i++) await near.publish(parcels(BODY))
  const wire = await TcpProxy.to(t, server.port, { rate: RATE })
  const far = jetStream({ servers: `127.0.0.1:${wire.port}` })
  t.teardown(() => far.close())
  const since = performance.now()
  const { history, listener } = await join(far, BOUNDS)
  t.ok(performance.now() - since > 3000, 'it has taken longer than an answer may')
  t.equal(history.length, EVENTS)
  await near.publish(parcels('live'))
  t.equal((await listener.waitForEntries(1))[0]!.message.body, 'live')
})

t.test('what is on its way is waited for, and what does not come is not', async (t) => {
  let received = 0
  const timer = setInterval(() => received++, 5)
  t.teardown(() => clearInterval(timer))
  const later = new Promise<string>((resolve) => setTimeout(() => resolve('whole'), 500))
  t.equal(await whileComing(100, later, () => received), 'whole')
  await t.rejects(
    whileComing(100, new Promise(() => {}), () => 7),
    { name: 'LateError' }
  )
  const failing = new Promise((_resolve, reject) => setTimeout(() => reject(new Error('broken')), 150))
  await t.rejects(
    whileComing(100, failing, () => received),
    { message: 'broken' }
  )
})
