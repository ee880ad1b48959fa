import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { StubShard, start } from '../kit/stub-client.js'
import { anyTopic, PATTERNS } from '../kit/topic-model.js'

function repeat(times: number, run: () => void): void {
  for (let i = 0; i < times; i++) run()
}

t.test('whatever a client hears, however it falls behind, it gets or misses each event once', async () => {
  const client = fc.nat(3)
  const pattern = fc.constantFrom(...PATTERNS)
  const except = fc.constantFrom(undefined, undefined, 0, 1, 2, 3)
  const size = fc.constantFrom(20, 20, 20, 9000, 40_000)
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('broadcast' as const), topic: anyTopic, size, except }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('join' as const),
        patterns: fc.array(pattern, { maxLength: 3 }),
        back: fc.nat()
      })
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('start' as const), client }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('readSome' as const), client, chunks: fc.nat(2), short: fc.nat(6) })
    },
    fc.record({ do: fc.constant('block' as const), client }),
    { weight: 2, arbitrary: fc.record({ do: fc.constant('drain' as const), client }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('subscribe' as const), client, pattern }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('unsubscribe' as const), client, pattern }) },
    fc.record({ do: fc.constant('leave' as const), client })
  )
  const bounds = fc.record({ events: fc.integer({ min: 1, max: 25 }), queueDepth: fc.integer({ min: 1, max: 8 }) })
  const seen = { missed: 0, whole: 0 }
  fc.assert(
    fc.property(bounds, fc.array(step, { maxLength: 100, size: 'max' }), (bounds, steps) => {
      const setup = new StubShard(bounds)
      const { clients, log } = setup
      for (const step of steps) {
        if (step.do === 'broadcast') setup.broadcast(step.topic, step.size, step.except)
        else if (step.do === 'flush') setup.flush()
        else if (step.do === 'join') {
          if (clients.length < 4) setup.join(step.patterns, log.head - (step.back % (log.size + 1)))
        } else {
          const client = clients[step.client]
          if (client === undefined) continue
          if (step.do === 'start') {
            client.isReading = true
            if (!client.isBlocked) client.read()
          } else if (step.do === 'readSome') {
            if (!client.isReading || client.isBlocked) continue
            client.readSome(step.chunks, step.short)
          } else if (step.do === 'block') {
            if (!client.isBlocked) client.block()
          } else if (step.do === 'drain') client.drain()
          else if (step.do === 'subscribe') client.subscribe(step.pattern)
          else if (step.do === 'unsubscribe') client.unsubscribe(step.pattern)
          else {
            client.leave()
            clients.splice(step.client, 1)
          }
        }
        for (const client of clients) client.check()
      }
      for (const client of clients) {
        client.isBlocked = false
        if (client.dropOldest() > 0) seen.missed++
        else seen.whole++
        start(client)
        assert.equal(client.cursor.lag, 0)
        client.leave()
      }
      assert.equal(setup.audiences.size, 0)
    }),
    { numRuns: 1000 }
  )
  // Otherwise it says nothing of one of the two.
  assert.ok(seen.missed > 50 && seen.whole > 50, JSON.stringify(seen))
})

t.test('a client that resumes gets the events after its last event id', async (t) => {
  const setup = new StubShard()
  for (const topic of ['a', undefined, 'b', 'a']) setup.broadcast(topic)
  const client = setup.join(['a'], 1)
  t.match(client.cursor, { seq: 1, lag: 2, overdue: 0 })
  start(client)
  t.match(client.cursor, { seq: 4, lag: 0, overdue: 0 })
})

t.test(
  'a replay does not count as falling behind, nor does a burst that came before its socket was full',
  async (t) => {
    const setup = new StubShard({ queueDepth: 3 })
    const client = start(setup.join(['a']))
    repeat(10, () => setup.broadcast('a'))
    client.block()
    t.match(client.cursor, { lag: 10, overdue: 0 })
    repeat(3, () => setup.broadcast('a'))
    t.match(client.cursor, { lag: 13, overdue: 0 })
    repeat(2, () => setup.broadcast('b'))
    t.match(client.cursor, { lag: 13, overdue: 0 }, 'nor does what it does not hear')
    repeat(2, () => setup.broadcast())
    t.match(client.cursor, { lag: 15, overdue: 2 })
    t.equal(client.dropOldest(), 12, 'then it keeps the newest')
    t.match(client.cursor, { lag: 3, overdue: 0 })
  }
)

t.test('a client that has caught up can fall behind again', async (t) => {
  const setup = new StubShard({ queueDepth: 3 })
  const client = start(setup.join(['a']))
  for (let i = 0; i < 3; i++) {
    client.block()
    repeat(3, () => setup.broadcast('a'))
    t.equal(client.cursor.overdue, 0)
    client.drain()
  }
})

t.test('a topic is heard from where it was subscribed to, even when the socket is full', async (t) => {
  const setup = new StubShard()
  const client = start(setup.join([]))
  setup.broadcast()
  client.read(1)
  t.ok(client.isBlocked)
  client.subscribe('a')
  client.subscribe('b')
  for (const topic of ['a', 'b', 'c']) setup.broadcast(topic)
  client.subscribe('c')
  setup.broadcast('c')
  t.equal(client.cursor.lag, 3)
  client.drain()
})

t.test(
  'a topic subscribed to where the last read ended is heard, beside one that was subscribed to before',
  async (t) => {
    const setup = new StubShard()
    const client = start(setup.join(['a']))
    setup.broadcast('a')
    client.block()
    client.subscribe('b')
    client.isBlocked = false
    client.read(1)
    t.equal(client.cursor.seq, setup.log.head)
    client.subscribe('c')
    for (const topic of ['b', 'c']) setup.broadcast(topic)
    t.equal(client.cursor.lag, 2)
    client.drain()
  }
)

t.test('evicted events count as missed, even if the client changed its topics meanwhile', async (t) => {
  const setup = new StubShard({ events: 5, queueDepth: 100 })
  const [more, less] = [start(setup.join(['a'])), start(setup.join(['a', 'b']))]
  for (const client of [more, less]) client.block()
  repeat(3, () => setup.broadcast('a'))
  more.subscribe('b')
  repeat(10, () => setup.broadcast('b'))
  less.unsubscribe('b')
  t.equal(more.dropOldest(), 8)
  t.equal(less.dropOldest(), 8, 'it cannot be told which of them it would not have heard')
  t.match([more.cursor.lag, less.cursor.lag], [5, 0])
})

t.test('an event of a topic that the client has left is not sent, unless another topic matches', async (t) => {
  const setup = new StubShard()
  const client = start(setup.join(['a.*', 'a.b']))
  client.block()
  for (const topic of ['a.a', 'a.b', 'a.a']) setup.broadcast(topic)
  client.unsubscribe('a.*')
  t.equal(client.cursor.lag, 1)
  client.drain()
})

t.test('changes of topics that undo one another leave one read and no audience behind', async (t) => {
  const setup = new StubShard()
  const client = start(setup.join([]))
  client.block()
  repeat(100, () => {
    setup.broadcast()
    client.subscribe('a')
    setup.broadcast('a')
    client.unsubscribe('a')
  })
  t.equal(setup.audiences.size, 0)
  t.equal(client.cursor.lag, 100)
  t.equal(client.next()?.entries.length, 100, 'it is one read')
  client.drain()
})

t.test('a client that disconnects during a change of topics holds no audience any more', async (t) => {
  const setup = new StubShard()
  const client = start(setup.join(['a']))
  client.block()
  setup.broadcast('a')
  client.subscribe('b')
  client.subscribe('c')
  t.equal(setup.audiences.size, 3)
  client.leave()
  t.equal(setup.audiences.size, 0)
})

t.test('a client that jumps to the head continues from there, and no event counts as missed', async (t) => {
  const setup = new StubShard({ queueDepth: 2 })
  const [live, blocked, changing] = [['a'], ['a'], ['a']].map((topics) => start(setup.join(topics)))
  setup.broadcast('a')
  setup.flush()
  blocked!.block()
  changing!.block()
  repeat(3, () => setup.broadcast('a'))
  changing!.subscribe('b')
  repeat(3, () => setup.broadcast('b'))
  for (const { cursor } of [live!, blocked!, changing!]) {
    cursor.jump()
    t.match(cursor, { seq: setup.log.head, lag: 0, overdue: 0 })
    t.equal(cursor.dropOldest(), 0)
    t.equal(cursor.next(setup.log.head), undefined)
  }
  const entry = setup.log.add(20, 'b')
  for (const audience of setup.audiences.of('b')) audience.hear(entry)
  t.equal(changing!.cursor.lag, 1, 'it hears what it has subscribed to meanwhile')
  t.equal(blocked!.cursor.lag, 0)
  for (const client of [live!, blocked!, changing!]) client.leave()
  t.equal(setup.audiences.size, 0, 'no audience is held twice')
})
