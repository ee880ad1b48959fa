import t, { type Test } from 'tap'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { dataOf, eventually, startProcess, waitForEvents } from '../../kit/processes.js'
import { type RedisServer, startRedis } from '../../kit/redis-server.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

const FAST = ['repl-diskless-sync-delay 0', 'repl-ping-replica-period 1']

/** A server and its replica, which has all that the server has. */
async function startPair(t: Test): Promise<[RedisServer, RedisServer] | undefined> {
  const master = await startRedis(t, { config: FAST })
  if (master === undefined) return undefined
  const replica = (await startRedis(t, { config: [...FAST, `replicaof 127.0.0.1 ${master.port}`] }))!
  await untilFollowing(replica)
  return [master, replica]
}

async function untilFollowing(replica: RedisServer): Promise<void> {
  await eventually(
    async () => /master_link_status:up/.test(await replica.admin.info('replication')),
    'the replica follows its master'
  )
}

/** Has `from` hand over to `to`, without losing anything. */
async function failOver(from: RedisServer, to: RedisServer): Promise<void> {
  await eventually(async () => /state=online/.test(await from.admin.info('replication')), 'the replica is online')
  await from.admin.call('failover', 'TO', '127.0.0.1', to.port)
  await untilFollowing(from)
}

t.test('events published while a server is temporarily a replica wait, and none is lost', async (t) => {
  const pair = await startPair(t)
  if (pair === undefined) return
  const [one, other] = pair
  const process = await startProcess(t, redisStreams({ url: one.url, publishTimeout: 60_000 }))
  const client = await process.connect()
  await process.app.sse.publish(0)
  let published = 0
  const ids: Promise<string>[] = []
  const publishing = setInterval(() => {
    process.app.sse.broadcast(++published)
    ids.push(process.app.sse.publish(++published))
  }, 10)
  t.teardown(() => clearInterval(publishing))
  await failOver(one, other)
  await eventually(() => process.app.sse.stats().backplane!.pending > 10, 'events wait')
  await failOver(other, one)
  clearInterval(publishing)
  await Promise.all(ids)
  await waitForEvents([client], published + 1)
  t.strictSame(
    dataOf(client),
    Array.from({ length: published + 1 }, (_, n) => String(n)),
    'each once, in order'
  )
  t.equal(client.events.length, published + 1, 'and nothing else')
  t.equal(process.app.sse.stats().backplane!.lost, 0)
})

t.test('a server that has become a replica is left for the master that its address now leads to', async (t) => {
  const pair = await startPair(t)
  if (pair === undefined) return
  const [one, other] = pair
  const address = await TcpProxy.to(t, one.port)
  const process = await startProcess(t, redisStreams({ url: `redis://127.0.0.1:${address.port}` }))
  const client = await process.connect()
  await process.app.sse.publish(1)
  address.leadTo(other.port)
  await failOver(one, other)
  await process.app.sse.publish(2)
  await waitForEvents([client], 2)
  t.strictSame(dataOf(client), ['1', '2'])
  await eventually(() => process.app.sse.ready, 'it is ready again')
})

t.test('a server that has never been a master refuses at once', async (t) => {
  const pair = await startPair(t)
  if (pair === undefined) return
  const [master, replica] = pair
  const process = await startProcess(t, redisStreams({ url: replica.url, publishTimeout: 4000 }))
  await t.rejects(process.app.sse.publish(1), { code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED' })
  await replica.admin.replicaof('NO', 'ONE')
  await process.app.sse.publish(2)
  await replica.admin.replicaof('127.0.0.1', master.port)
  await t.rejects(process.app.sse.publish(3), { code: 'PYLON_SSE_ERR_BACKPLANE_TIMEOUT' }, 'it may be a failover')
})
