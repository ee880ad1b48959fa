import { once } from 'node:events'
import fastifyRedis from '@fastify/redis'
import fastify from 'fastify'
import { Cluster, Redis } from 'ioredis'
import type { RedisClient } from '../../../lib/backplane/redis/redis-streams.js'
import { bodiesOf, join, parcels } from '../../kit/backplane-listener.js'
import { eventually } from '../../kit/processes.js'
import { failureOf, KEY, open, ownClient, withRedis } from '../../kit/redis-streams.js'

withRedis(
  "the key prefix and the database of the app's client apply, and its other settings cause no harm",
  async (t, server) => {
    const hostile = {
      ...server.clientOptions,
      keyPrefix: 'app:',
      db: 3,
      commandTimeout: 500,
      enableAutoPipelining: true,
      stringNumbers: true,
      protocol: 3 as const,
      replyMapping: 'resp3' as const,
      connectionName: 'app',
      lazyConnect: true
    }
    const client = ownClient(t, new Redis(hostile))
    const backplane = open(t, { client: client as RedisClient })
    const { listener } = await join(backplane)
    await backplane.publish(parcels('a', 'b'))
    t.strictSame(bodiesOf(await listener.waitForEntries(2)), ['a', 'b'])
    // Longer than a command of the app's may take.
    await new Promise((resolve) => setTimeout(resolve, 1200))
    await backplane.publish(parcels('c'))
    await listener.waitForEntries(3)
    t.strictSame(listener.states, [])
    await server.admin.select(3)
    t.equal(await server.admin.exists(`app:${KEY}`), 1)
    await eventually(() => client.ping().then(Boolean, () => false), 'the client works')
    t.strictSame((await server.connectionNames()).sort(), ['app', 'pylon-sse', 'pylon-sse', 'test'])
    await backplane.close()
    t.strictSame((await server.connectionNames()).sort(), ['app', 'test'], 'the client stays, its duplicates go')
  }
)

withRedis('the client of @fastify/redis can be given, and stays open when the backplane closes', async (t, server) => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(fastifyRedis, { url: server.url })
  const backplane = open(t, { client: app.redis })
  const { listener } = await join(backplane)
  await backplane.publish(parcels('a'))
  t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['a'])
  await backplane.close()
  t.equal(await app.redis.ping(), 'PONG')
})

withRedis(
  'a client of Redis Cluster can be given',
  async (t, { port, admin }) => {
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16383)
    while (!/cluster_state:ok/.test((await admin.cluster('INFO')) as string)) await new Promise(setImmediate)
    const client = ownClient(t, new Cluster([{ host: '127.0.0.1', port }], { scaleReads: 'slave', keyPrefix: 'app:' }))
    const backplane = open(t, { client })
    const { listener } = await join(backplane)
    while (client.status !== 'ready') await new Promise(setImmediate)
    await backplane.publish(parcels('a', 'b'))
    t.strictSame(bodiesOf(await listener.waitForEntries(2)), ['a', 'b'])
    t.equal(await admin.exists(`app:${KEY}`), 1)
    t.strictSame(bodiesOf((await join(open(t, { client }))).history), ['a', 'b'])
    await backplane.close()
    t.equal(await client.get('x'), null)
  },
  { config: ['cluster-enabled yes', 'cluster-announce-ip 127.0.0.1'] }
)

withRedis("no event goes through the app's client, which might publish it late", async (t, server) => {
  const client = ownClient(t, new Redis(server.clientOptions))
  await once(client, 'ready')
  const sent = t.capture(client, 'sendCommand')
  const backplane = open(t, { client })
  const { listener } = await join(backplane)
  await backplane.publish(parcels('before'))
  server.freeze()
  t.teardown(() => server.thaw())
  t.match((await failureOf(backplane.publish(parcels('while frozen')))).message, /has not answered for 2000 ms/)
  await listener.waitForState(false)
  server.thaw()
  await listener.waitForState(true)
  await backplane.publish(parcels('after'))
  t.equal(bodiesOf(await listener.waitForEntries(3)).at(-1), 'after')
  t.strictSame(sent(), [])
})
