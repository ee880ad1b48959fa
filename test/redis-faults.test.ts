import t from 'tap'
import { redisStreams } from '../lib/backplane/redis-streams.js'
import { startProcess, testBackplane } from './kit/backplane-faults.js'
import { startRedis } from './kit/redis-server.js'
import { TcpProxy } from './kit/tcp-proxy.js'

testBackplane(t, async (t) => {
  const server = await startRedis(t)
  return (
    server && {
      name: 'redis',
      port: server.port,
      backplane: (limits, port = server.port) => redisStreams({ url: `redis://127.0.0.1:${port}`, ...limits }),
      start: () => server.start(),
      kill9: () => server.kill9(),
      freeze: () => server.freeze(),
      thaw: () => server.thaw(),
      async trim() {
        await server.admin.xtrim('pylon-sse', 'MAXLEN', 0)
      },
      async flush() {
        await server.admin.flushall()
      },
      async countConnections() {
        return (await server.connectionNames()).filter((name) => name === 'pylon-sse').length
      }
    }
  )
})

t.test('a server that has lost what it had acknowledged is told from one that has not', async (t) => {
  const server = await startRedis(t)
  if (server === undefined) return
  const wire = await TcpProxy.to(t, server.port)
  const options = { url: `redis://127.0.0.1:${wire.port}` }
  const process = await startProcess(t, redisStreams(options))
  const client = await process.connect()
  for (const n of [1, 2, 3, 4, 5]) await process.app.sse.publish(n)
  await client.until(({ data }) => data === '5')
  wire.cut()
  await process.log.waitFor(/is out of reach/)
  // As a replica that is promoted, and has not heard of the last three; others have published since.
  const { admin } = server
  const entries = (await admin.xrange('pylon-sse', '-', '+')) as [string, string[]][]
  await admin.del('pylon-sse')
  for (const [id, fields] of entries.slice(0, 2)) await admin.xadd('pylon-sse', id, ...fields)
  const other = await startProcess(t, redisStreams({ url: server.url }))
  const victim = await process.connect({ headers: { 'x-user': 'eve' } })
  other.app.sse.disconnect({ state: { user: 'eve' } })
  await other.app.sse.publish(7)
  wire.mend()
  const resync = await client.until(({ event }) => event === 'resync')
  t.strictSame(JSON.parse(resync.data), { reason: 'backplane', missed: null })
  await victim.waitForEnd()
  t.pass('a disconnection that came amid the gap is made up for')
  await process.app.sse.publish(8)
  await client.until(({ data }) => data === '8')
  t.strictSame(
    client.events.map(({ data, event }) => event ?? data),
    ['1', '2', '3', '4', '5', 'resync', '7', '8'],
    'nobody hears anything twice'
  )
  for (const { connect } of [process, other]) {
    const resumed = await connect({ lastEventId: entries[0]![0] })
    await resumed.until(({ data }) => data === '8')
    t.equal(resumed.events[0]!.data, '2', 'what is still there can be replayed')
    t.strictSame(
      resumed.events.map(({ data }) => data),
      ['2', '7', '8']
    )
  }
})
