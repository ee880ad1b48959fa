import type { Msg, MsgCallback, SubscriptionOptions } from '@nats-io/transport-node'
import t from 'tap'
import { bodiesOf, join, parcels } from '../../kit/backplane-listener.js'
import { addStream, connectTo, infoOf, over, UNAVAILABLE } from '../../kit/jetstream.js'
import { startNats } from '../../kit/nats-server.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

t.test('a stream that was replaced unnoticed gives no cursor of the old one', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  await backplane.publish(parcels('a'))
  await listener.waitForEntries(1)
  const { manager, connection } = await server.admin()
  const { config } = await infoOf(server)
  await manager.streams.delete(config.name)
  await manager.streams.add(config)
  // As many as were read: the number of the next message is the one that the process expects.
  await connection.request('pylon-sse.events', 'x')
  const batch = parcels('b')
  await t.rejects(backplane.publish(batch), { code: UNAVAILABLE, message: /the stream has been replaced/ })
  const { history } = await listener.waitForGap()
  t.strictSame(bodiesOf(history).slice(0, 1), ['b'], 'it has got there all the same, as the caller finds')
  const [cursor] = await backplane.publish(batch)
  t.equal(cursor, history[0]!.cursor, 'published once more it is told where it is')
})

t.test('entries trimmed while a process is away are a gap; entries deleted in between are none', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  await addStream(server, { max_msgs: 5 })
  const { manager } = await server.admin()
  const wire = await TcpProxy.to(t, server.port)
  const away = over(t, server, { servers: `nats://127.0.0.1:${wire.port}` })
  const present = over(t, server)
  const { listener } = await join(away)
  await join(present)
  await present.publish(parcels('1'))
  await listener.waitForEntries(1)

  wire.cut()
  await listener.waitForState(false)
  for (const text of ['2', '3', '4', '5']) await present.publish(parcels(text))
  await manager.streams.deleteMessage('PYLON_SSE', 3)
  wire.mend()
  t.strictSame(bodiesOf(await listener.waitForEntries(4)), ['1', '2', '4', '5'])
  t.equal(listener.gaps.length, 0)
  await listener.waitForState(true)

  wire.cut()
  await listener.waitForState(false)
  for (const text of ['6', '7', '8', '9', '10', '11']) await present.publish(parcels(text))
  wire.mend()
  const { floor, history } = await listener.waitForGap()
  t.strictSame(bodiesOf(history), ['7', '8', '9', '10', '11'])
  t.ok(away.compare(floor, listener.entries.at(-1)!.cursor)! > 0)
  t.ok(away.compare(floor, history[0]!.cursor)! < 0)
  await present.publish(parcels('12'))
  t.equal((await listener.waitForEntries(5)).at(-1)!.message.body, '12')
})

t.test('entries trimmed before the server has sent them are a gap', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const { manager } = await server.admin()
  /** As when the second message had gone before its turn came: the server leaves it out. */
  const leaveOut = async (callback: MsgCallback<Msg>, error: Error | null, message: Msg) => {
    const [, seq] = /\.(\d+)\.\d+\.\d+\.\d+$/.exec(message.reply ?? '') ?? []
    if (seq === '2') return
    if (seq === '3') await manager.streams.purge('PYLON_SSE', { seq: 3 })
    const reply = message.reply?.replace(/\.3\.3\./, '.3.2.')
    void callback(error, Object.create(message, { reply: { value: reply } }))
  }
  const connection = new Proxy(await connectTo(t, server), {
    get(target, key) {
      if (key !== 'subscribe') return Reflect.get(target, key)
      return (subject: string, { callback }: SubscriptionOptions) =>
        target.subscribe(subject, { callback: (error, message) => void leaveOut(callback!, error, message) })
    }
  })
  const backplane = over(t, server, { connection })
  const { listener } = await join(backplane)
  for (const text of ['1', '2', '3']) await backplane.publish(parcels(text))
  const { history } = await listener.waitForGap()
  t.strictSame(bodiesOf(history), ['3'])
  t.strictSame(listener.bodies, ['1'])
  await backplane.publish(parcels('4'))
  t.strictSame(bodiesOf(await listener.waitForEntries(2)), ['1', '4'])
  t.equal(listener.gaps.length, 1)
})

t.test('a stream that is deleted and created again is another one, whatever its numbers', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const { manager } = await server.admin()
  const [one, other] = [over(t, server), over(t, server)]
  const { listener } = await join(one)
  await join(other)
  const [old] = await one.publish(parcels('1'))
  for (const text of ['2', '3', '4']) await one.publish(parcels(text))
  await listener.waitForEntries(4)
  await manager.streams.delete('PYLON_SSE')
  await addStream(server, {})
  await t.rejects(one.publish(parcels('5')), { code: UNAVAILABLE, message: /the stream has been replaced/ })
  const { history } = await listener.waitForGap()
  t.equal(bodiesOf(history)[0], '5', 'it had got there all the same')
  const [cursor] = await one.publish(parcels('6'))
  t.equal(one.compare(old!, cursor!), undefined)
  t.ok(one.compare(history[0]!.cursor, cursor!)! < 0)
})

t.test('if the stream does not take the report of a loss, the process continues without it', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const { manager } = await server.admin()
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  await backplane.publish(parcels('1'))
  await listener.waitForEntries(1)
  await manager.streams.delete('PYLON_SSE')
  await addStream(server, { max_msg_size: 530 })
  await t.rejects(backplane.publish(parcels('2')), { code: UNAVAILABLE })
  const { history } = await listener.waitForGap()
  t.strictSame(bodiesOf(history), ['2'])
  t.equal(listener.losses.length, 1)
})
