import { Cluster, Redis } from 'ioredis'
import t from 'tap'
import { bodiesOf, join, Listener, PLENTY, parcels } from '../../kit/backplane-listener.js'
import { freePort, startRedis } from '../../kit/redis-server.js'
import { failureOf, KEY, open, ownClient, withRedis } from '../../kit/redis-streams.js'

t.test('an unreachable engine is named in the error, with the reason', async (t) => {
  const port = await freePort()
  const failure = await failureOf(
    open(t, { url: `redis://user:secret@127.0.0.1:${port}` }).join(PLENTY, new Listener())
  )
  t.equal(failure.code, 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE')
  t.equal(failure.message, `The backplane redis at 127.0.0.1:${port} cannot be used: the connection was refused`)
  t.ok(failure.cause)
  t.notMatch(failure.all, /secret/)
  const client = ownClient(t, new Redis({ host: '127.0.0.1', port, password: 'secret', lazyConnect: true }))
  const other = await failureOf(open(t, { client }).join(PLENTY, new Listener()))
  t.equal(other.message, failure.message)
  t.notMatch(other.all, /secret/)
  const cluster = ownClient(t, new Cluster([{ host: '127.0.0.1', port }], { lazyConnect: true }))
  t.match(
    (await failureOf(open(t, { client: cluster }).join(PLENTY, new Listener()))).message,
    `redis at 127.0.0.1:${port}`
  )
})

withRedis('joining an engine that does not reply fails after a while', async (t, server) => {
  server.freeze()
  t.teardown(() => server.thaw())
  const failure = await failureOf(open(t, { url: server.url }).join(PLENTY, new Listener()))
  t.match(failure.message, /has not answered/)
})

withRedis(
  'a password is used, and an error names a wrong one as the reason without showing it',
  async (t, { port }) => {
    const host = `127.0.0.1:${port}`
    const right = open(t, { url: `redis://:secret%2Fright@${host}` })
    await join(right)
    await right.publish(parcels('x'))
    for (const [url, reason] of [
      [`redis://:secretwrong@${host}`, /the password is wrong/],
      [`redis://nobody:secretwrong@${host}`, /the password is wrong/],
      [`redis://${host}`, /asks for a password/]
    ] as const) {
      const failure = await failureOf(open(t, { url }).join(PLENTY, new Listener()))
      t.match(failure.message, reason)
      t.match(failure.message, `redis at ${host}`)
      t.notMatch(failure.all, /secretwrong/)
    }
  },
  { password: 'secret/right' }
)

withRedis('an error names a key of another type, on joining and on publishing', async (t, { url, admin }) => {
  const backplane = open(t, { url })
  await join(backplane)
  await admin.set(KEY, 'a text')
  const refusal = await failureOf(backplane.publish(parcels('a', 'b')))
  t.match(refusal, { code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED', message: /redis.*no stream.*WRONGTYPE/ })
  const failure = await failureOf(open(t, { url }).join(PLENTY, new Listener()))
  t.match(failure, { code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE', message: /no stream.*WRONGTYPE/ })
})

withRedis('clients are served from a read-only replica, and publish rejects', async (t, server) => {
  const replica = await startRedis(t, { config: [`replicaof 127.0.0.1 ${server.port}`, 'repl-diskless-sync-delay 0'] })
  const writer = open(t, { url: server.url })
  await join(writer)
  const info = async () => /master_link_status:up/.test(await replica!.admin.info('replication'))
  while (!(await info())) await new Promise(setImmediate)
  const backplane = open(t, { url: replica!.url })
  const { listener } = await join(backplane)
  await writer.publish(parcels('from the master'))
  t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['from the master'])
  const refusal = await failureOf(backplane.publish(parcels('a')))
  t.match(refusal, { code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED', message: /read-only replica/ })
  await replica!.admin.replicaof('NO', 'ONE')
  await backplane.publish(parcels('now a master'))
})

withRedis('a server whose memory is full refuses a batch as a whole', async (t, { url, admin }) => {
  const backplane = open(t, { url })
  const { listener } = await join(backplane)
  await admin.config('SET', 'maxmemory', '1')
  const refusal = await failureOf(backplane.publish(parcels('a', 'b', 'secret body')))
  t.match(refusal, { code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED', message: /memory is full.*OOM/ })
  t.notMatch(refusal.all, /secret body/, 'what was refused is not logged')
  await admin.config('SET', 'maxmemory', '0')
  await backplane.publish(parcels('c'))
  t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['c'])
})
