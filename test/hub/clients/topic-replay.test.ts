import t from 'tap'
import { stopClock } from '../../kit/clock.js'
import { asksFor, heard, serveAll, tellEach } from '../../kit/topics.js'

t.test('a replay holds what a client is subscribed to, and nothing else', async (t) => {
  const served = await serveAll(t)
  const first = await served.connect(asksFor('a'))
  const lastEventId = await first.waitForId()
  await first.close()
  tellEach(served, ['a', 'b', undefined, 'a.x', 'a', 'b'])
  const clients = await Promise.all([
    served.connect({ lastEventId }),
    served.connect({ ...asksFor('a'), lastEventId }),
    served.connect({ ...asksFor('b'), lastEventId }),
    served.connect({ ...asksFor('a.**'), lastEventId }),
    served.connect({ ...asksFor('c'), lastEventId })
  ])
  t.strictSame(await heard(served, ...clients), [
    ['everyone'],
    ['a', 'everyone', 'a'],
    ['b', 'everyone', 'b'],
    ['a', 'everyone', 'a.x', 'a'],
    ['everyone']
  ])
})

t.test('a client that the app subscribes in onConnect misses nothing of the topic while it reconnects', async (t) => {
  const served = await serveAll(t, { onConnect: (client) => client.subscribe('room') })
  const first = await served.connect()
  tellEach(served, ['room'])
  const { id } = await first.next()
  await first.close()
  tellEach(served, ['room', 'other', 'room'])
  const again = await served.connect({ lastEventId: id! })
  t.strictSame(await heard(served, again), [['room', 'room']])
})

t.test('a client that the app unsubscribes in onConnect is replayed nothing of the topic', async (t) => {
  const served = await serveAll(t, { onConnect: (client) => client.unsubscribe('room') })
  const first = await served.connect(asksFor('room'))
  const lastEventId = await first.waitForId()
  await first.close()
  tellEach(served, ['room', undefined])
  const again = await served.connect({ ...asksFor('room'), lastEventId })
  t.strictSame(await heard(served, again), [['everyone']])
})

t.test(
  'where a topic is quiet and the log is not, a keepalive carries the cursor, and the client resumes',
  async (t) => {
    const clock = stopClock(t)
    const served = await serveAll(t, { history: { events: 5 }, queueDepth: 5, keepAliveInterval: 640, shards: 1 })
    const quiet = await served.connect(asksFor('quiet'))
    const busy = await served.connect(asksFor('busy'))
    const arrived = await quiet.waitForId()
    for (let round = 1; round <= 3; round++) {
      for (let i = 0; i < 5; i++) tellEach(served, ['busy'])
      await busy.take(5)
      clock.advance(640)
      await quiet.waitForComment('keepalive', round)
    }
    t.equal(quiet.lastEventId, busy.events.at(-1)!.id, 'the cursor is that of the log')
    t.not(quiet.lastEventId, arrived)
    t.strictSame(quiet.events, [], 'which nobody is told as an event')
    const { lastEventId } = quiet
    await quiet.close()
    tellEach(served, ['busy', 'quiet'])
    const again = await served.connect({ ...asksFor('quiet'), lastEventId })
    t.strictSame(await heard(served, again), [['quiet']])
    t.match(served.app.sse.stats(), { resyncs: { expired: 0 } })

    for (let i = 0; i < 5; i++) tellEach(served, ['busy'])
    const late = await served.connect({ ...asksFor('quiet'), lastEventId: arrived })
    t.match(await late.next(), { event: 'resync' }, 'without it, the event that has gone since would be a gap')
  }
)

t.test('a keepalive says no id where the log has not moved, or where the client has it already', async (t) => {
  const clock = stopClock(t)
  const served = await serveAll(t, { keepAliveInterval: 640 })
  const reader = await served.connect(asksFor('a'))
  clock.advance(640)
  await reader.waitForComment('keepalive', 1)
  tellEach(served, ['a'])
  await reader.next()
  clock.advance(640)
  await reader.waitForComment('keepalive', 2)
  tellEach(served, ['b'])
  clock.advance(640)
  await reader.waitForComment('keepalive', 3)
  clock.advance(640)
  await reader.waitForComment('keepalive', 4)
  const epoch = reader.ids[0]!.split('-')[0]
  t.strictSame(reader.ids, [`${epoch}-0`, `${epoch}-1`, `${epoch}-2`])
})
