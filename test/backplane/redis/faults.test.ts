import t from 'tap'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { testBackplane } from '../../kit/backplane-faults.js'
import { resyncOf } from '../../kit/numbered.js'
import { startProcess } from '../../kit/processes.js'
import { redisEngine } from '../../kit/redis-engine.js'
import { startRedis } from '../../kit/redis-server.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

testBackplane(t, redisEngine)

t.test('a server that has lost acknowledged events is distinguished from one that has not', async (t) => {
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
    ['1', '2', '3', '4', '5', 'resync', '8'],
    'nobody hears anything twice'
  )
  const late = await startProcess(t, redisStreams({ url: server.url }))
  for (const { connect } of [process, other, late]) {
    for (const { id } of client.events.slice(0, 5)) {
      const resumed = await connect({ lastEventId: id! })
      t.ok(resyncOf(await resumed.next()), 'whoever was away may have missed what is lost')
      await resumed.close()
    }
    const resumed = await connect({ lastEventId: resync.id! })
    t.equal((await resumed.next()).data, '8', 'whoever was told goes on from there')
  }
})
