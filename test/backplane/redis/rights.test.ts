import { Redis } from 'ioredis'
import t from 'tap'
import { join, Listener, PLENTY, parcels } from '../../kit/backplane-listener.js'
import { requireBinary } from '../../kit/binary.js'
import { certificate } from '../../kit/certificate.js'
import { startRedis } from '../../kit/redis-server.js'
import { failureOf, KEY, open, ownClient, withRedis } from '../../kit/redis-streams.js'

withRedis('a user of Redis needs only rights on the stream', async (t, { port, admin }) => {
  const rights = ['+@connection', '+multi', '+exec', '+xadd', '+xread', '+xrevrange', '+xrange', '+xinfo', '+xlen']
  await admin.acl('SETUSER', 'app', 'on', '>pw', `~${KEY}`, ...rights)
  await admin.acl('SETUSER', 'reader', 'on', '>pw', `~${KEY}`, ...rights, '-xadd')
  const backplane = open(t, { url: `redis://app:pw@127.0.0.1:${port}` })
  const { listener } = await join(backplane)
  await backplane.publish(parcels('a'))
  await listener.waitForEntries(1)
  const reader = open(t, { url: `redis://reader:pw@127.0.0.1:${port}` })
  await join(reader)
  t.match(await failureOf(reader.publish(parcels('b'))), {
    code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED',
    message: /may not do this.*NOPERM/
  })
  await admin.acl('SETUSER', 'writer', 'on', '>pw', `~${KEY}`, ...rights, '-xread')
  const writer = open(t, { url: `redis://writer:pw@127.0.0.1:${port}` })
  t.match((await failureOf(writer.join(PLENTY, new Listener()))).message, /NOPERM.*xread/)
  await admin.acl('SETUSER', 'app', '-xread')
  await admin.client('KILL', 'USER', 'app')
  const [, error] = await listener.waitForState(false)
  t.ok(error)
  await admin.acl('SETUSER', 'app', '+xread')
  await listener.waitForState(true)
  t.equal(listener.states.length, 2, 'it is not said to be back before it can be read')
  const other = open(t, { url: `redis://app:pw@127.0.0.1:${port}`, key: 'other' })
  t.match((await failureOf(other.join(PLENTY, new Listener()))).message, /may not do this.*NOPERM/)
})

t.test('a server is reached over TLS, by its url and by a client of the app', async (t) => {
  if (requireBinary(t, 'openssl') === undefined) return
  const { key, cert } = await certificate()
  const server = await startRedis(t, { tls: { key, cert }, password: 'pw' })
  if (server === undefined) return
  const client = ownClient(t, new Redis(server.clientOptions))
  const backplane = open(t, { client })
  const { listener } = await join(backplane)
  await server.admin.ping()
  await backplane.publish(parcels('a'))
  await listener.waitForEntries(1)
  // The certificate is nobody's that a process trusts by itself.
  const failure = await failureOf(
    open(t, { url: `rediss://:pw@localhost:${server.port}` }).join(PLENTY, new Listener())
  )
  t.match(failure.message, /self-signed certificate/)
  t.match(
    (await failureOf(open(t, { url: `redis://:pw@127.0.0.1:${server.port}` }).join(PLENTY, new Listener()))).code,
    /UNAVAILABLE/
  )
})
