import t from 'tap'
import { gate } from '../kit/deferred.js'
import { accountFor, broadcastNumbers, idsOfNumbers, readUpTo, resyncOf } from '../kit/numbered.js'
import { serve } from '../kit/server.js'

t.test(
  'an id that the log does not know brings a resync that cannot say how many were missed, then live',
  async (t) => {
    const served = await serve(t, { sse: { history: { events: 3 }, queueDepth: 3 } })
    const ids = await idsOfNumbers(served, 8, (n) => (n === 2 ? 'gone' : undefined))
    const [epoch] = ids[0]!.split('-')
    const unknown = [
      'gone',
      'x',
      '8',
      `${epoch}-9`,
      `${epoch}-08`,
      `${epoch}--1`,
      `${epoch}-`,
      `${epoch}`,
      `x${ids[8]}`
    ]
    const clients = await Promise.all(unknown.map((lastEventId) => served.connect({ lastEventId })))
    served.app.sse.broadcast(9)
    for (const [i, client] of clients.entries()) {
      const [resync, live] = await client.take(2)
      t.strictSame(resync && resyncOf(resync), { reason: 'unknown', missed: null }, String(unknown[i]))
      t.equal(live?.data, '9')
    }
  }
)

t.test('an id from before a restart is unknown, even where its number is in the log again', async (t) => {
  const before = await idsOfNumbers(await serve(t), 5)
  const restarted = await serve(t)
  await idsOfNumbers(restarted, 8)
  const clients = await Promise.all(before.map((lastEventId) => restarted.connect({ lastEventId })))
  restarted.app.sse.broadcast(9)
  for (const client of clients) {
    const [resync, live] = await client.take(2)
    t.strictSame(resync && resyncOf(resync), { reason: 'unknown', missed: null })
    t.equal(live?.data, '9')
  }
})

t.test('the id of a resync is a cursor: a client that comes back with it has missed nothing more', async (t) => {
  const served = await serve(t, { sse: { history: { events: 3 } } })
  const ids = await idsOfNumbers(served, 8)
  for (const lastEventId of [ids[2]!, 'unknown']) {
    const client = await served.connect({ lastEventId })
    const resync = await client.next()
    t.equal(resync.event, 'resync')
    await client.abort()
    served.app.sse.broadcast('meanwhile')
    const head = await served.app.sse.publish('meanwhile')
    const again = await served.connect({ lastEventId: resync.id! })
    t.match(await again.take(2), [{ data: '"meanwhile"' }, { data: '"meanwhile"', id: head }])
  }
})

t.test('a client that is cut off before its first event resumes from where it connected', async (t) => {
  const served = await serve(t)
  await idsOfNumbers(served, 3)
  const client = await served.connect()
  await client.waitForId()
  await client.abort()
  broadcastNumbers(served.app, 4, 6)
  const again = await served.connect({ lastEventId: client.lastEventId })
  await readUpTo(again, 6)
  t.strictSame(accountFor(again.events, 3), { last: 6, missed: 0, resyncs: [] })
})

t.test('a client that is cut off before its resync gets it when it reconnects', async (t) => {
  const held = gate()
  let visits = 0
  const onConnect = () => (visits++ === 0 ? held.pass() : undefined)
  const served = await serve(t, { sse: { history: { events: 2 }, onConnect } })
  served.app.sse.broadcast(0)
  // No client until then, for the first one to be the one that is held.
  const lastEventId = await served.app.sse.publish(1)
  broadcastNumbers(served.app, 2, 5)
  const client = await served.connect({ lastEventId })
  await held.reached
  await client.waitForComment('connected')
  t.strictSame(client.ids, [], 'no id that would hide the gap')
  await client.abort()
  held.open()
  broadcastNumbers(served.app, 6, 6)
  const again = await served.connect({ lastEventId })
  t.match(resyncOf(await again.next()), { reason: 'expired', missed: 5 })
  served.app.sse.broadcast(7)
  t.equal((await again.next()).data, '7')
})
