import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { type Audience, Audiences } from '../../lib/log/audience.js'
import type { EventChunk } from '../../lib/log/chunk.js'
import { LogReader } from '../../lib/log/log-reader.js'
import { FilledLog } from '../kit/filled-log.js'
import { heapUsed } from '../kit/heap.js'
import { anyTopic, hears, PATTERNS } from '../kit/topic-model.js'

const KIB = 1024
const BLOCK = 64 * KIB
const KEPT = 4 * KIB * KIB

/** A reader, its log, and its audiences, which hear what is added. Each has `cohorts` groups of clients. */
class Setup {
  readonly log: FilledLog
  readonly audiences = new Audiences()
  readonly everyone: Audience = this.audiences.everyone
  readonly reader: LogReader
  readonly #cohorts: number

  constructor(sizes: number[] = [], { events = 1_000_000, cohorts = 2 } = {}) {
    this.log = new FilledLog(sizes, events)
    this.reader = new LogReader(this.log, this.everyone)
    this.#cohorts = cohorts
  }

  hold(...patterns: string[]): Audience {
    const audience = this.audiences.hold(patterns)
    while (audience.cohortCount < this.#cohorts) audience.join({ isTouched: false, touch: () => {} })
    return audience
  }

  add(size: number, topic?: string): void {
    const entry = this.log.add(size, topic)
    if (topic !== undefined) for (const audience of this.audiences.of(topic)) audience.hear(entry)
  }

  history(audience: Audience, cursor: number, limit = this.log.head): EventChunk[] {
    const chunks: EventChunk[] = []
    for (;;) {
      const chunk = this.reader.history(audience, cursor, limit)
      if (chunk === undefined) return chunks
      assert.ok(chunk.to > cursor && chunk.to <= limit, `after ${cursor} up to ${limit} came ${chunk.to}`)
      this.check(chunk, audience, cursor)
      chunks.push(chunk)
      cursor = chunk.to
    }
  }

  /** What a chunk must be, whoever asks for it: all that the audience hears of the log between its ends. */
  check(chunk: EventChunk, audience: Audience, cursor: number): void {
    const entries = this.heard(audience, cursor, chunk.to)
    assert.ok(entries.length > 0)
    assert.deepEqual(
      chunk.entries.map(({ seq }) => seq),
      entries.map(({ seq }) => seq),
      `for ${audience.patterns} after ${cursor} up to ${chunk.to}`
    )
    assert.ok(chunk.plain.equals(Buffer.concat(entries.map(({ frame }) => frame))))
    const largest = Math.max(...entries.map(({ frame }) => frame.length))
    assert.ok(chunk.size - largest < BLOCK * 1.25, `${chunk.size} bytes, ${largest} of them one event`)
  }

  heard({ patterns }: Audience, cursor: number, to: number) {
    return this.log.all.slice(cursor, to).filter(({ topic }) => hears(patterns, topic))
  }
}

function repeat(times: number, size: number): number[] {
  return new Array(times).fill(size)
}

const small = fc.integer({ min: 12, max: 200 })
const aroundBlock = fc.integer({ min: BLOCK - 40, max: BLOCK + 40 })
const size = fc.oneof(
  { weight: 4, arbitrary: small },
  { weight: 2, arbitrary: fc.integer({ min: 12, max: BLOCK / 2 }) },
  { weight: 1, arbitrary: aroundBlock },
  { weight: 1, arbitrary: fc.integer({ min: BLOCK, max: 3 * BLOCK }) }
)
const event = fc.record({ size, topic: anyTopic })
const patterns = fc.uniqueArray(fc.constantFrom(...PATTERNS), { maxLength: 3 })

t.test('the history after a cursor has each event that the audience hears, once and in order', async () => {
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 40 }), patterns, fc.nat(), fc.nat(), (events, of, a, b) => {
      const setup = new Setup()
      for (const { size, topic } of events) setup.add(size, topic)
      const limit = 1 + (a % setup.log.head)
      const cursor = b % limit
      const audience = setup.hold(...of)
      const seqs = setup.history(audience, cursor, limit).flatMap(({ entries }) => entries.map(({ seq }) => seq))
      assert.deepEqual(
        seqs,
        setup.heard(audience, cursor, limit).map(({ seq }) => seq)
      )
    }),
    { numRuns: 200 }
  )
})

t.test('whenever clients read, and however the log changes, each gets the events after its cursor', async () => {
  const step = fc.oneof(
    { weight: 2, arbitrary: fc.record({ append: fc.array(event, { minLength: 1, maxLength: 5 }) }) },
    {
      weight: 3,
      arbitrary: fc.record({ client: fc.nat(3), chunks: fc.integer({ min: 1, max: 3 }), short: fc.nat(6) })
    },
    { weight: 1, arbitrary: fc.record({ joins: fc.nat(3), at: fc.nat() }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const setup = new Setup([], { events: 20 })
      const { log, reader } = setup
      const audiences = [setup.everyone, setup.hold('a'), setup.hold('a'), setup.hold('a.*', 'b')]
      const cursors = [0, 0, 0, 0]
      for (const step of steps) {
        if ('append' in step) {
          for (const { size, topic } of step.append) setup.add(size, topic)
        } else if ('joins' in step) {
          cursors[step.joins] = log.oldest - 1 + (step.at % (log.size + 1))
        } else {
          // What the log has let go is not asked for; and an event for one client alone may stop it short of the head.
          let cursor = Math.max(cursors[step.client]!, log.oldest - 1)
          const audience = audiences[step.client]!
          const limit = log.head - step.short
          for (let i = 0; i < step.chunks && cursor < limit; i++) {
            const chunk = reader.history(audience, cursor, limit)
            if (chunk === undefined) {
              assert.deepEqual(setup.heard(audience, cursor, limit), [])
              break
            }
            assert.ok(chunk.to > cursor && chunk.to <= limit, `after ${cursor} up to ${limit} came ${chunk.to}`)
            setup.check(chunk, audience, cursor)
            cursor = chunk.to
          }
          cursors[step.client] = cursor
        }
      }
    }),
    { numRuns: 150 }
  )
})

t.test('a chunk ends where its slab of 64 KiB does, unless it is small', async (t) => {
  const ends = (sizes: number[]) => {
    const setup = new Setup(sizes)
    return setup.history(setup.everyone, 0).map(({ to }) => to)
  }
  t.strictSame(ends([100, 100, 100]), [3])
  // Sixteen do not fit into one with their framing.
  t.strictSame(ends(repeat(40, 4 * KIB)), [15, 30, 40])
  t.strictSame(ends([BLOCK - 1, 12, 12]), [1, 3], 'a large event has a slab to itself')
  t.strictSame(ends([16 * KIB, 5 * BLOCK, 100]), [1, 2, 3], 'and is not cut')
  t.strictSame(ends([16 * KIB - 1, 5 * BLOCK, 100]), [2, 3], 'and takes what is small with it')
})

t.test('events that few clients hear come in chunks large enough to be worth a write', async (t) => {
  const setup = new Setup()
  for (let i = 0; i < 640; i++) setup.add(4 * KIB, i % 32 === 0 ? 'a' : 'b')
  const chunks = setup.history(setup.hold('a'), 0)
  t.strictSame(
    chunks.map(({ entries }) => entries.length),
    [4, 4, 4, 4, 4]
  )
})

t.test('clients of one audience at the same cursor are given the same Buffer', async (t) => {
  const setup = new Setup(repeat(100, 4 * KIB))
  const { reader, log, everyone } = setup
  const audience = setup.hold('a')
  for (const each of [everyone, audience]) {
    const first = reader.history(each, 0, log.head)!
    const head = reader.history(each, 97, log.head)!
    t.equal(reader.history(each, 97, log.head), head)
    t.equal(reader.history(each, 0, log.head), first, 'also when others have read elsewhere meanwhile')
    t.equal(first.framed, reader.history(each, 0, log.head)!.framed, 'with framing')
    t.equal(first.plain, reader.history(each, 0, log.head)!.plain, 'and without')
    t.equal(first.framed.buffer, log.at(1).slab.buffer, 'which is the memory of the log itself')
  }
})

t.test('a cursor gets the events appended since the last read, too', async (t) => {
  const { log, reader, everyone } = new Setup([100])
  const before = reader.history(everyone, 0, 1)
  log.add(100)
  const after = reader.history(everyone, 0, 2)
  t.not(after, before)
  t.equal(after?.to, 2)
  t.equal(reader.history(everyone, 0, 1)?.to, 1, 'and one that wants less is given less')
})

t.test('a reader that asks for less than others have read gets less', async (t) => {
  const { log, reader, everyone } = new Setup(repeat(40, 4 * KIB))
  const full = reader.history(everyone, 0, log.head)!
  t.match(full, { to: 15, isFull: true })
  t.equal(reader.history(everyone, 0, 10)?.to, 10)
})

t.test('clients that begin at different cursors share every chunk but their first', async () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(fc.integer({ min: BLOCK / 4, max: BLOCK / 2 }), { minLength: 1, maxLength: 30 }),
        fc.array(fc.integer({ min: 12, max: 8000 }), { minLength: 1, maxLength: 100, size: 'max' })
      ),
      fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
      (sizes, starts) => {
        const setup = new Setup(sizes)
        const shared = new Set(setup.history(setup.everyone, 0))
        for (const start of starts) {
          const [, ...rest] = setup.history(setup.everyone, start % setup.log.head)
          for (const chunk of rest)
            assert.ok(shared.has(chunk), `from ${start % setup.log.head}: the chunk up to ${chunk.to}`)
        }
      }
    ),
    { numRuns: 200 }
  )
})

t.test('the events that the log holds for an audience after a cursor are counted', async () => {
  fc.assert(
    fc.property(fc.array(anyTopic, { maxLength: 40 }), patterns, fc.nat(45), (topics, of, cursor) => {
      const setup = new Setup([], { events: 20 })
      for (const topic of topics) setup.add(20, topic)
      const { log, reader } = setup
      const audience = setup.hold(...of)
      const after = Math.max(cursor, log.oldest - 1)
      assert.equal(reader.count(audience, cursor, 'nobody'), setup.heard(audience, after, log.head).length)
    })
  )
})

t.test('the news after a cursor have each event that the audience hears, once and in order', async () => {
  const round = fc.record({
    events: fc.array(event, { maxLength: 8 }),
    // Which of the audiences offer their clients what is new, one after another.
    offers: fc.shuffledSubarray([0, 1, 2, 3])
  })
  fc.assert(
    fc.property(fc.array(round, { maxLength: 12 }), fc.constantFrom(1, 2), (rounds, cohorts) => {
      const setup = new Setup([], { cohorts })
      const { log, reader } = setup
      const audiences = [setup.everyone, setup.hold('a'), setup.hold('a.*', 'b'), setup.hold('**')]
      const cursors = audiences.map(() => 0)
      const got = audiences.map((): number[] => [])
      for (const { events, offers } of rounds) {
        for (const { size, topic } of events) setup.add(size, topic)
        for (const i of offers) {
          const audience = audiences[i]!
          for (;;) {
            const cursor = cursors[i]!
            const chunk = reader.news(audience, cursor)
            if (cohorts > 1) assert.equal(reader.news(audience, cursor), chunk, 'the next cohort is given the same')
            if (chunk === undefined) break
            assert.ok(chunk.to > cursor && chunk.to <= log.head)
            setup.check(chunk, audience, cursor)
            got[i]!.push(...chunk.entries.map(({ seq }) => seq))
            cursors[i] = chunk.to
          }
          cursors[i] = log.head
          audience.settle()
          assert.deepEqual(
            got[i],
            setup.heard(audience, 0, log.head).map(({ seq }) => seq)
          )
        }
      }
    }),
    { numRuns: 150 }
  )
})

t.test('news that every audience hears are the same Buffer for all, whatever their cursors before', async (t) => {
  const setup = new Setup([], { cohorts: 1 })
  const { reader, log, everyone } = setup
  const one = setup.hold('a')
  const other = setup.hold('b')
  setup.add(100, 'a')
  setup.add(100, 'b')
  const behind = log.head - 2
  for (const audience of [one, other]) {
    t.ok(reader.news(audience, behind))
    audience.settle()
  }
  setup.add(100)
  const common = reader.news(everyone, behind)!
  t.strictSame(
    common.entries.map(({ seq }) => seq),
    [3]
  )
  t.equal(reader.news(one, 1), common)
  t.equal(reader.news(other, 2), common)
  t.equal(reader.news(everyone, 0), common)
})

t.test('news of an audience are shared by its groups of clients', async (t) => {
  const setup = new Setup()
  const audience = setup.hold('a')
  const other = setup.hold('b')
  setup.add(100, 'a')
  const chunk = setup.reader.news(audience, 0)
  t.equal(setup.reader.news(other, 0), undefined)
  t.equal(setup.reader.news(audience, 0), chunk, 'also when others have asked meanwhile')
})

t.test('a group of clients that asks later gets the events appended since, too', async (t) => {
  const setup = new Setup()
  const audience = setup.hold('a')
  setup.add(100, 'a')
  t.equal(setup.reader.news(audience, 0)?.to, 1)
  setup.add(100, 'a')
  const chunk = setup.reader.news(audience, 0)!
  setup.check(chunk, audience, 0)
  t.equal(chunk.to, 2)
})

t.test('news that only one group of clients hears are not cached', async (t) => {
  const setup = new Setup([], { cohorts: 1 })
  const audience = setup.hold('a')
  const other = setup.hold('b')
  setup.add(100, 'a')
  const chunk = setup.reader.news(audience, 0)
  t.equal(setup.reader.news(other, 0), undefined)
  t.not(setup.reader.news(audience, 0), chunk)
})

t.test('a burst of news comes in chunks that end where their slabs end', async (t) => {
  const setup = new Setup()
  const { log } = setup
  const audience = setup.hold('a')
  for (let i = 0; i < 100; i++) setup.add(4 * KIB, i % 2 === 0 ? 'a' : undefined)
  for (const each of [setup.everyone, audience]) {
    const ends: number[] = []
    for (let chunk = setup.reader.news(each, 0); chunk !== undefined; chunk = setup.reader.news(each, chunk.to)) {
      ends.push(chunk.to)
      t.equal(chunk.isFull, chunk.to < 100)
      t.equal(
        chunk.framed.buffer === log.at(chunk.to).slab.buffer,
        each === audience,
        'not copied where it need not be'
      )
    }
    // Fifteen events a slab; everyone hears every second one.
    t.strictSame(ends, each === audience ? [15, 30, 45, 60, 75, 90, 100] : [14, 30, 44, 60, 74, 90, 100])
  }
})

/** Bytes of the newest of these chunks, which were read in order from `0`, that the reader still has. */
function bytesKept({ reader, everyone }: Setup, chunks: readonly EventChunk[], limit: number): number {
  let bytes = 0
  // From the newest back, since asking for one that is gone makes it anew, in the place of others.
  for (const chunk of [...chunks].reverse()) {
    if (reader.history(everyone, chunk.to - chunk.entries.length, limit) !== chunk) break
    bytes += chunk.size
  }
  return bytes
}

t.test('at most 4 MiB of chunks are cached, whatever was read', async (t) => {
  for (const sizes of [repeat(3000, 4 * KIB), [...repeat(1000, 4 * KIB), 2 * KIB * KIB]]) {
    const setup = new Setup(sizes)
    const kept = bytesKept(setup, setup.history(setup.everyone, 0), setup.log.head)
    t.ok(kept <= KEPT, `${kept} bytes are within the bound`)
    t.ok(kept > KEPT - 3 * BLOCK, `${kept} bytes make use of it`)
  }
})

t.test('small chunks count with their overhead, so that their number is bounded', async (t) => {
  const { reader, log, everyone } = new Setup(repeat(20_000, 20))
  const chunks = Array.from({ length: log.head }, (_, cursor) => reader.history(everyone, cursor, cursor + 1)!)
  const firstGone = chunks.reverse().findIndex((chunk) => reader.history(everyone, chunk.to - 1, chunk.to) !== chunk)
  // By their bytes alone, all of them would be.
  t.ok(firstGone > 0 && firstGone * (20 + 256) < KEPT, `${firstGone} are kept`)
  t.ok(firstGone * (20 + 1024) > KEPT, `${firstGone} make use of the room`)
})

t.test('a chunk that is replaced as the log grows no longer counts', async (t) => {
  const setup = new Setup(repeat(768, 4 * KIB))
  const { log, reader, everyone } = setup
  const chunks = setup.history(everyone, 0)
  const bytes = bytesKept(setup, chunks, log.head)
  t.equal(bytes, 3 * KIB * KIB)
  const { head } = log
  for (let i = 0; i < 1000; i++) {
    log.add(60)
    reader.history(everyone, head, log.head)
  }
  t.equal(bytesKept(setup, chunks, head), bytes)
})

t.test('an event larger than the cache is read whole, and evicts every other chunk', async (t) => {
  const setup = new Setup([100, KEPT + BLOCK, 100])
  const { reader, everyone } = setup
  const small = reader.history(everyone, 0, 1)
  t.equal(reader.history(everyone, 0, 1), small)
  const large = reader.history(everyone, 1, 2)!
  setup.check(large, everyone, 1)
  t.not(reader.history(everyone, 1, 2), large, 'it is not kept')
  t.not(reader.history(everyone, 0, 1), small, 'and leaves no room to others')
  t.equal(reader.history(everyone, 0, 1), reader.history(everyone, 0, 1), 'until they are read again')
})

t.test('cleared chunks are built again, and take no memory meanwhile', async (t) => {
  const setup = new Setup(repeat(768, 4 * KIB))
  const { log, reader, everyone } = setup
  const before = setup.history(everyone, 0)
  const news = reader.news(everyone, log.head - 1)!
  reader.clear()
  t.not(reader.news(everyone, log.head - 1), news)
  const head = reader.history(everyone, before.at(-2)!.to, log.head)!
  t.not(head, before.at(-1))
  t.ok(head.framed.equals(before.at(-1)!.framed))
  const after = setup.history(everyone, 0)
  for (const chunk of after) t.notOk(before.includes(chunk))
  t.equal(bytesKept(setup, after, log.head), 3 * KIB * KIB)
})

t.test('chunks of evicted events are not cached, because each would retain a slab', async (t) => {
  const setup = new Setup([], { events: 100 })
  const { log, reader, everyone } = setup
  const slabs: WeakRef<Buffer>[] = []
  for (let i = 0; i < 500; i++) {
    const entry = log.add(100)
    slabs.push(new WeakRef(entry.slab))
    t.equal(reader.news(everyone, log.head - 1)?.to, log.head)
    // What is between the events that everyone hears.
    for (let j = 0; j < 9; j++) setup.add(8 * KIB - 40, 'a')
    log.all.length = 0
  }
  await nextTurn()
  heapUsed()
  const alive = slabs.filter((slab) => slab.deref() !== undefined).length
  // The log holds ten of them.
  t.ok(alive <= 25, `${alive} of 500 slabs are held`)
})
