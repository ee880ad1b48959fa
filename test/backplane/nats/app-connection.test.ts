import t from 'tap'
import { jetStream } from '../../../lib/backplane/nats/jetstream.js'
import { join, parcels } from '../../kit/backplane-listener.js'
import { connectTo, infoOf, over, UNAVAILABLE } from '../../kit/jetstream.js'
import { startNats } from '../../kit/nats-server.js'

t.test("the app's connection stays open, and no subscription of the plugin is left on it", async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const connection = await connectTo(t, server)
  const { protocol } = connection as unknown as {
    protocol: { listeners: unknown[]; subscriptions: { size(): number } }
  }
  const backplane = jetStream({ connection })
  const { listener } = await join(backplane)
  await backplane.publish(parcels('1'))
  await listener.waitForEntries(1)
  t.equal((await infoOf(server)).state.consumer_count, 1)
  await backplane.close()
  t.equal((await infoOf(server)).state.consumer_count, 0)
  t.notOk(connection.isClosed())
  await connection.flush()
  t.equal(protocol.listeners.length, 0)
  t.equal(protocol.subscriptions.size(), 1, 'that of all requests by this connection')

  const next = over(t, server, { connection })
  await join(next)
  const again = await join(next).catch((error: Error) => error)
  t.match(again, { code: UNAVAILABLE, message: /joined already/ })
  await connection.close()
  await t.rejects(next.publish(parcels('2')), { code: UNAVAILABLE, message: /the app's connection is closed/ })
  await t.rejects(join(over(t, server, { connection })), {
    code: UNAVAILABLE,
    message: /the app's connection is closed/
  })
})

t.test("a frozen server is noticed by the app's connection, too, and nothing hangs", async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const backplane = jetStream({ connection: await connectTo(t, server) })
  const { listener } = await join(backplane)
  await backplane.publish(parcels('1'))
  await listener.waitForEntries(1)
  server.freeze()
  t.teardown(() => server.thaw())
  await t.rejects(backplane.publish(parcels('2')), { code: UNAVAILABLE, message: /it has not answered in time/ })
  await listener.waitForState(false)
  const from = performance.now()
  await t.rejects(join(over(t, server)), { code: UNAVAILABLE })
  t.ok(performance.now() - from < 15_000)
  server.thaw()
  await listener.waitForState(true)
  await backplane.publish(parcels('3'))
  await listener.waitForEntries(3)
  t.strictSame(listener.bodies, ['1', '2', '3'])
  server.freeze()
  const closing = performance.now()
  await backplane.close()
  t.ok(performance.now() - closing < 10_000, 'close() does not wait for it')
})
