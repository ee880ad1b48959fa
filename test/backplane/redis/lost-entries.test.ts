import { bodiesOf, join, parcels } from '../../kit/backplane-listener.js'
import { freePort } from '../../kit/redis-server.js'
import { KEY, open, withRedis } from '../../kit/redis-streams.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

withRedis(
  'a process that reads more slowly than the stream is trimmed gets a gap, even without a lost connection',
  async (t, { url, admin }) => {
    const backplane = open(t, { url, maxLength: 1000 })
    const { listener } = await join(backplane)
    await backplane.publish(parcels('before'))
    await listener.waitForEntries(1)
    const multi = admin.multi()
    for (let i = 0; i < 3000; i++) multi.xadd(KEY, 'MAXLEN', 1000, '*', 'm', `q:${i}`, 'l', '{}', 'b', String(i))
    await multi.exec()
    const { history, floor } = await listener.waitForGap()
    t.strictSame(
      bodiesOf(history),
      Array.from({ length: 1000 }, (_, i) => String(2000 + i))
    )
    t.ok(backplane.compare(floor, history[0]!.cursor)! < 0)
    await backplane.publish(parcels('after'))
    t.strictSame(bodiesOf(await listener.waitForEntries(2)), ['before', 'after'])
  }
)

withRedis('a server that has lost entries is distinguished from one that was only out of reach', async (t, server) => {
  const wire = await TcpProxy.to(t, server.port)
  const backplane = open(t, { url: `redis://127.0.0.1:${wire.port}` })
  const { listener } = await join(backplane)
  const [first] = await backplane.publish(parcels('kept', 'lost'))
  await listener.waitForEntries(2)
  wire.cut()
  await listener.waitForState(false)
  t.match(listener.states[0]![1], { code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE' })
  // As a replica that was promoted, and had not heard of the last entry.
  const { admin } = server
  const [[, fields]] = (await admin.xrange(KEY, first!, first!)) as [[string, string[]]]
  await admin.del(KEY)
  await admin.xadd(KEY, first!, ...fields)
  wire.mend()
  const { history, floor } = await listener.waitForGap()
  t.strictSame(bodiesOf(history), ['kept', listener.losses[0]!.message.body], 'the log tells of the loss')
  t.equal(floor, '0-0')
  await listener.waitForState(true)
  t.equal(listener.gaps.length, 1)
  await backplane.publish(parcels('new'))
  await listener.waitForEntries(3)
  t.strictSame(listener.bodies, ['kept', 'lost', 'new'])
})

withRedis('another entry with the same id counts as a loss', async (t, server) => {
  const wire = await TcpProxy.to(t, server.port)
  const backplane = open(t, { url: `redis://127.0.0.1:${wire.port}` })
  const { listener } = await join(backplane)
  const [id] = await backplane.publish(parcels('read'))
  await listener.waitForEntries(1)
  wire.cut()
  await listener.waitForState(false)
  // As a server whose clock is behind may give it.
  const { admin } = server
  await admin.del(KEY)
  await admin.xadd(KEY, id!, 'm', 'other:1', 'l', '{}', 'b', 'not read')
  wire.mend()
  const { history } = await listener.waitForGap()
  t.strictSame(bodiesOf(history), ['not read', listener.losses[0]!.message.body])
})

withRedis('if the server refuses the report of a loss, the process continues without it', async (t, server) => {
  const { admin } = server
  const wire = await TcpProxy.to(t, server.port)
  const backplane = open(t, { url: `redis://127.0.0.1:${wire.port}`, publishTimeout: 4000 })
  const { listener } = await join(backplane)
  const lose = async () => {
    const { length } = listener.entries
    await backplane.publish(parcels('1', '2'))
    await listener.waitForEntries(length + 2)
    wire.cut()
    await listener.waitForState(false)
    await admin.del(KEY)
  }
  await lose()
  await admin.config('SET', 'maxmemory', '1')
  wire.mend()
  await listener.waitForGap()
  t.equal(listener.losses.length, 1, 'it is refused for good')
  await admin.config('SET', 'maxmemory', '0')
  await listener.waitForState(true)

  await lose()
  // As amid a failover. It follows a server that is not there.
  await admin.replicaof('127.0.0.1', await freePort())
  wire.mend()
  await listener.waitForGap(2)
  t.ok(listener.losses.length > 2, 'it may be a failover: it is tried again')
  t.strictSame(
    listener.gaps.map(({ history }) => history),
    [[], []]
  )
})

withRedis('cursors of a deleted stream are not valid in the next one', async (t, { url, admin }) => {
  const old = open(t, { url })
  await join(old)
  const [cursor] = await old.publish(parcels('old'))
  await admin.del(KEY)
  const writer = open(t, { url })
  const { listener } = await join(writer)
  t.equal(writer.compare('0-0', '0-0'), 0)
  const [first] = await writer.publish(parcels('new'))
  await listener.waitForEntries(1)
  const late = open(t, { url })
  t.equal((await join(late)).floor, '0-0')
  for (const backplane of [writer, late]) {
    t.equal(backplane.compare(cursor!, first!), undefined, 'it is of the other stream')
    t.ok(backplane.compare('0-0', first!)! < 0, 'before everything a client may have been')
    t.equal(backplane.compare(first!, first!), 0)
  }
})
