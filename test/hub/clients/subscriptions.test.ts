import t from 'tap'
import { gate } from '../../kit/deferred.js'
import { LogLines } from '../../kit/log-lines.js'
import { asksFor, heard, serveAll, tellEach } from '../../kit/topics.js'

t.test('an event with a topic reaches its subscribers alone, and one without reaches everyone', async (t) => {
  const served = await serveAll(t)
  const clients = await Promise.all([
    served.connect(),
    served.connect(asksFor('a')),
    served.connect(asksFor('b')),
    served.connect(asksFor('a', 'b')),
    served.connect(asksFor('b', 'a', 'b'))
  ])
  tellEach(served, ['a', undefined, 'b', 'c', 'A', 'a'])
  t.strictSame(await heard(served, ...clients), [
    ['everyone'],
    ['a', 'everyone', 'a'],
    ['everyone', 'b'],
    ['a', 'everyone', 'b', 'a'],
    ['a', 'everyone', 'b', 'a']
  ])
})

t.test('publish and broadcast take a topic too, which a comment tells, and no field of the event', async (t) => {
  const served = await serveAll(t)
  const [a, b] = [await served.connect(asksFor('a')), await served.connect(asksFor('b'))]
  const before = a.body.length
  served.app.sse.broadcast(1, { topic: 'a' })
  const id = await served.app.sse.publish(2, { topic: 'a', event: 'two' })
  t.strictSame(await heard(served, a, b), [['1', '2'], []])
  t.match(a.events[1], { id, event: 'two' })
  t.match(a.body.slice(before), /^(: topic a\n)id: \S+-1\ndata: 1\n\n\1id: \S+-2\nevent: two\ndata: 2\n\n/)
})

t.test('the app subscribes a client to a topic at any time, from the next event on', async (t) => {
  const served = await serveAll(t)
  const reader = await served.connect()
  const client = served.arrivals.last
  tellEach(served, ['a'])
  client.subscribe('a')
  t.strictSame(client.topics, ['a'])
  served.app.sse.broadcastMessage('first', { topic: 'a' })
  client.subscribe('a')
  client.subscribe('b.*')
  t.strictSame(client.topics, ['a', 'b.*'])
  tellEach(served, ['a', 'b.x', 'b'])
  t.strictSame(await heard(served, reader), [['first', 'a', 'b.x']])
})

t.test('once unsubscribed a client hears nothing more of a topic, not even what is not written yet', async (t) => {
  const served = await serveAll(t)
  const [reader, other] = [await served.connect(asksFor('a', 'b')), await served.connect(asksFor('a', 'b'))]
  const client = served.arrivals.all.find(({ closed }) => !closed)!
  tellEach(served, ['b', 'a'])
  client.unsubscribe('a')
  client.unsubscribe('never')
  t.strictSame(client.topics, ['b'])
  tellEach(served, ['a', 'b'])
  t.strictSame(await heard(served, reader, other), [
    ['b', 'b'],
    ['b', 'a', 'a', 'b']
  ])
})

t.test('a topic that a pattern covers still reaches a client that is unsubscribed from the topic alone', async (t) => {
  const served = await serveAll(t)
  const reader = await served.connect(asksFor('a.x', 'a.*'))
  served.arrivals.last.unsubscribe('a.x')
  tellEach(served, ['a.x'])
  t.strictSame(await heard(served, reader), [['a.x']])
})

t.test('what is subscribed in onConnect counts from the arrival on, also while it waits', async (t) => {
  const held = gate()
  const served = await serveAll(t, {
    onConnect: async (client) => {
      client.subscribe('early')
      client.send('snapshot')
      await held.pass()
      client.subscribe('late')
      client.unsubscribe('asked')
    }
  })
  const reader = await served.connect(asksFor('asked', 'kept'))
  await held.reached
  tellEach(served, ['early', 'late', 'asked', 'kept', undefined])
  held.open()
  await reader.until(({ data }) => data === 'everyone')
  tellEach(served, ['early', 'late', 'asked', 'kept'])
  t.strictSame(await heard(served, reader), [
    ['"snapshot"', 'early', 'late', 'kept', 'everyone', 'early', 'late', 'kept']
  ])
})

t.test('a subscription on a client that has gone is no mistake, and does nothing', async (t) => {
  const logs = new LogLines()
  const gone = gate()
  const served = await serveAll(
    t,
    { onDisconnect: () => void gone.pass() },
    { fastify: { logger: { level: 'warn', stream: logs } } }
  )
  const reader = await served.connect(asksFor('a'))
  const client = served.arrivals.last
  await reader.close()
  await gone.reached
  client.subscribe('b')
  client.unsubscribe('a')
  tellEach(served, ['a', 'b'])
  t.strictSame(client.topics, ['a'])
  t.strictSame(await heard(served, await served.connect()), [[]])
  t.strictSame(logs.lines, [])
})
