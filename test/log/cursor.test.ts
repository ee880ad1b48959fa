import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { type Audience, Audiences, type Cohort } from '../../lib/log/audience.js'
import type { EventChunk } from '../../lib/log/chunk.js'
import { Cursor, type CursorContext } from '../../lib/log/cursor.js'
import type { LogEntry } from '../../lib/log/log-entry.js'
import { LogReader } from '../../lib/log/log-reader.js'
import { FilledLog } from '../kit/filled-log.js'
import { anyTopic, hears, PATTERNS } from '../kit/topic-model.js'

/** What a client needs of its hub and its shard, without sockets. It is a shard of its own. */
class Setup {
  readonly log: FilledLog
  readonly audiences = new Audiences()
  readonly context: CursorContext
  readonly clients: StubClient[] = []
  /** The newest event that all have been offered. */
  #offered = 0
  #allTouched = false

  constructor({ events = 1_000_000, queueDepth = 3 } = {}) {
    this.log = new FilledLog([], events)
    const reader = new LogReader(this.log, this.audiences.everyone)
    this.context = { log: this.log, reader, audiences: this.audiences, queueDepth }
  }

  join(subscriptions: string[], seq = this.log.head): StubClient {
    const client = new StubClient(this, subscriptions, seq)
    this.clients.push(client)
    return client
  }

  /** @param except the client who does not hear it, by its place */
  broadcast(topic?: string, size = 20, except?: number): void {
    // As the hub does: what leaves the log has been offered to everyone.
    if (this.log.oldestAfter(size) - 1 > this.#offered) this.flush()
    const spared = except === undefined ? undefined : this.clients[except]
    const entry = this.log.add(size, topic, spared?.id)
    spared?.cursor.spare(entry)
    if (topic === undefined) this.#allTouched = true
    else for (const audience of this.audiences.of(topic)) audience.hear(entry)
    for (const client of this.clients) client.expect(entry)
  }

  flush(): void {
    for (const client of this.clients) if (this.#allTouched || client.isTouched) client.advance()
    this.#allTouched = false
    this.#offered = this.log.head
  }
}

interface Due {
  seq: number
  topic: string | undefined
  /** What the client subscribed to when the event came. Changes when it unsubscribes. */
  subscriptions: Set<string>
}

/** A client beside a naive model of it: the list of what is due to it. */
class StubClient implements Cohort {
  readonly id = randomUUID()
  readonly cursor: Cursor
  isTouched = false
  isReading = false
  isBlocked = false
  due: Due[] = []
  #subscriptions: Set<string>
  /** All that its events subscribe by. */
  readonly #everHeld: Set<string>[] = []
  #mark: number | undefined
  #missed = 0
  readonly #setup: Setup
  #audience: Audience

  constructor(setup: Setup, subscriptions: string[], seq: number) {
    this.#setup = setup
    this.#subscriptions = new Set(subscriptions)
    this.#everHeld.push(this.#subscriptions)
    this.#audience = setup.audiences.hold(subscriptions)
    this.cursor = new Cursor(setup.context, this.id, this.#audience, seq)
    this.#audience.join(this)
    for (const entry of setup.log.all.slice(seq)) this.expect(entry)
    this.check()
  }

  touch(): void {
    this.isTouched = true
  }

  expect({ seq, topic, except }: LogEntry): void {
    const subscriptions = this.#subscriptions
    if (except !== this.id && hears(subscriptions, topic)) this.due.push({ seq, topic, subscriptions })
  }

  get overdue(): number {
    if (this.#mark === undefined) return 0
    return Math.max(0, this.due.filter(({ seq }) => seq > this.#mark!).length - this.#setup.context.queueDepth)
  }

  check(): void {
    const { cursor } = this
    assert.equal(cursor.lag, this.due.length, 'lag')
    assert.equal(cursor.overdue, this.overdue, 'overdue')
    assert.deepEqual(cursor.audience.patterns, [...this.#subscriptions].sort())
  }

  advance(): void {
    if (this.isReading && !this.isBlocked) this.read()
    if (!this.isTouched) return
    this.isTouched = false
    this.#audience.settle()
  }

  /** Reads all there is, or so many chunks, whereupon its socket is full. */
  read(chunks = Number.POSITIVE_INFINITY, limit = this.#setup.log.head): void {
    this.dropOldest()
    for (let left = chunks; left > 0; left--) {
      const chunk = this.next(limit)
      if (chunk === undefined) {
        assert.deepEqual(
          this.due.filter(({ seq }) => seq <= limit),
          []
        )
        // As for an event to it alone: the rest comes after.
        if (limit < this.#setup.log.head) this.read(left)
        return
      }
    }
    this.block()
  }

  /** Reads as for an event to it alone, so many events before the head. */
  readSome(chunks: number, short: number): void {
    this.read(chunks, Math.max(this.cursor.seq, this.#setup.log.head - short))
  }

  next(limit = this.#setup.log.head): EventChunk | undefined {
    const chunk = this.cursor.next(limit)
    if (chunk === undefined) {
      if (limit === this.#setup.log.head) this.#mark = undefined
      return undefined
    }
    const read = this.due.splice(0, chunk.entries.length)
    assert.deepEqual(
      chunk.entries.map(({ seq }) => seq),
      read.map(({ seq }) => seq)
    )
    assert.ok(chunk.to <= limit && this.cursor.seq === chunk.to)
    this.check()
    return chunk
  }

  block(): void {
    this.cursor.pause()
    this.isBlocked = true
    this.#mark ??= this.#setup.log.head
    this.check()
  }

  drain(): void {
    this.isBlocked = false
    if (this.isReading) this.read()
  }

  dropOldest(): number {
    this.#loseEvicted()
    const { queueDepth } = this.#setup.context
    if (this.overdue > 0) this.#lose(this.due.length - queueDepth)
    const missed = this.cursor.dropOldest()
    assert.equal(missed, this.#missed, 'missed')
    this.#missed = 0
    const next = this.due[0]?.seq ?? Number.POSITIVE_INFINITY
    assert.ok(this.cursor.seq < next, `goes on from ${this.cursor.seq} to ${next}`)
    this.check()
    return missed
  }

  /** From the next event on, or from the cursor on, where it has not begun to read. */
  subscribe(pattern: string): void {
    this.#loseEvicted()
    this.#subscriptions = new Set(this.#subscriptions).add(pattern)
    this.#everHeld.push(this.#subscriptions)
    const audience = this.#setup.audiences.hold(this.#subscriptions)
    this.cursor.subscribe(audience, this.isReading ? undefined : this.cursor.seq)
    this.#setup.audiences.release(audience)
    if (!this.isReading) {
      this.due = []
      for (const entry of this.#setup.log.all.slice(this.cursor.seq)) this.expect(entry)
    }
    this.#move()
  }

  unsubscribe(pattern: string): void {
    this.#loseEvicted()
    for (const held of this.#everHeld) held.delete(pattern)
    this.due = this.due.filter(({ subscriptions, topic }) => hears(subscriptions, topic))
    this.cursor.unsubscribe(pattern)
    this.#move()
  }

  leave(): void {
    this.#audience.leave(this)
    this.#setup.audiences.release(this.#audience)
    this.cursor.release()
  }

  #move(): void {
    this.isTouched = false
    this.#audience.leave(this)
    this.#setup.audiences.release(this.#audience)
    this.#audience = this.#setup.audiences.retain(this.cursor.audience)
    this.#audience.join(this)
    this.check()
    if (this.isReading && !this.isBlocked) this.read()
  }

  #loseEvicted(): void {
    this.#lose(this.due.filter(({ seq }) => seq < this.#setup.log.oldest).length)
  }

  #lose(events: number): void {
    this.due.splice(0, events)
    this.#missed += events
  }
}

function start(client: StubClient): StubClient {
  client.isReading = true
  client.read()
  return client
}

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
      const setup = new Setup(bounds)
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
  const setup = new Setup()
  for (const topic of ['a', undefined, 'b', 'a']) setup.broadcast(topic)
  const client = setup.join(['a'], 1)
  t.match(client.cursor, { seq: 1, lag: 2, overdue: 0 })
  start(client)
  t.match(client.cursor, { seq: 4, lag: 0, overdue: 0 })
})

t.test(
  'a replay does not count as falling behind, nor does a burst that came before its socket was full',
  async (t) => {
    const setup = new Setup({ queueDepth: 3 })
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
  const setup = new Setup({ queueDepth: 3 })
  const client = start(setup.join(['a']))
  for (let i = 0; i < 3; i++) {
    client.block()
    repeat(3, () => setup.broadcast('a'))
    t.equal(client.cursor.overdue, 0)
    client.drain()
  }
})

t.test('a topic is heard from where it was subscribed to, even when the socket is full', async (t) => {
  const setup = new Setup()
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
    const setup = new Setup()
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
  const setup = new Setup({ events: 5, queueDepth: 100 })
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
  const setup = new Setup()
  const client = start(setup.join(['a.*', 'a.b']))
  client.block()
  for (const topic of ['a.a', 'a.b', 'a.a']) setup.broadcast(topic)
  client.unsubscribe('a.*')
  t.equal(client.cursor.lag, 1)
  client.drain()
})

t.test('changes of topics that undo one another leave one read and no audience behind', async (t) => {
  const setup = new Setup()
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
  const setup = new Setup()
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
  const setup = new Setup({ queueDepth: 2 })
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
