import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { EventLog, type EventLogOptions, type Position } from '../../lib/log/event-log.js'
import { append, EPOCH, held, LOTS, logWith } from '../kit/sized-log.js'

t.test('a log starts empty, and a client with its first cursor is at its head', async (t) => {
  const log = logWith()
  t.match(log, { epoch: EPOCH, head: 0, oldest: 1, size: 0, bytes: 0 })
  t.strictSame(log.positionOf(`${EPOCH}-0`), { seq: 0 })
  append(log)
  t.strictSame(log.positionOf(`${EPOCH}-0`), { seq: 0 })
})

t.test('events are numbered from 1, and carry the id under which they are held', async (t) => {
  const log = logWith()
  const appended = [log.append('data: a\n\n'), log.append('data: b\n\n', { id: 'own' }), log.append('data: c\n\n')]
  t.strictSame(held(log), [1, 2, 3])
  for (const entry of appended) t.equal(log.at(entry.seq), entry, `event ${entry.seq}`)
  t.strictSame(
    [1, 2, 3].map((seq) => [log.at(seq).id, log.at(seq).frame.toString()]),
    [
      ['k3x9-1', 'id: k3x9-1\ndata: a\n\n'],
      ['own', 'id: own\ndata: b\n\n'],
      ['k3x9-3', 'id: k3x9-3\ndata: c\n\n']
    ]
  )
})

t.test('an event is held with its options', async (t) => {
  const log = logWith()
  log.append('x')
  log.append('x', { topic: 'a.b', except: 'client', isText: true })
  t.match(log.at(1), { topic: undefined, except: undefined, isText: false })
  t.match(log.at(2), { topic: 'a.b', except: 'client', isText: true, id: 'k3x9-2' })
})

t.test('events without a topic are found without a look at the others', async (t) => {
  const log = logWith({ events: 4 })
  for (const topic of [undefined, 'a', undefined, 'b', undefined, 'a']) append(log, { topic })
  const after = (cursor: number) => Array.from(log.topiclessAfter(cursor), ({ seq }) => seq)
  t.strictSame([after(0), after(2), after(3), after(5), after(6)], [[3, 5], [3, 5], [5], [], []])
  t.equal(log.topiclessCount, 3, 'those that are gone count, too')
})

t.test('the oldest cursor is that which has the most to come', async (t) => {
  const bounds: [bounds: Partial<EventLogOptions>, cursor: number][] = [
    [{}, 0],
    [{ events: 3 }, 2],
    [{ replay: 2 }, 3],
    [{ replay: 0, events: 0 }, 5],
    [{ replay: 4, events: 3 }, 2]
  ]
  for (const [each, cursor] of bounds) {
    const log = logWith(each)
    t.equal(log.oldestCursor, 0, 'while it is empty')
    for (let i = 0; i < 5; i++) append(log)
    t.equal(log.oldestCursor, cursor)
    t.strictSame(log.positionOf(log.cursorAt(cursor)), { seq: cursor })
  }
})

t.test('an event is held as the chunk of HTTP/1.1 that a client gets', async (t) => {
  const log = logWith()
  for (const body of ['data: a\n\n', 'data: é😀\n\n', `data: ${'x'.repeat(20_000)}\n\n`]) {
    const { slab, start, stop, size, frame } = log.append(body)
    const framed = slab.subarray(start, stop).toString()
    t.equal(framed, `${Buffer.byteLength(frame.toString()).toString(16)}\r\n${frame}\r\n`)
    t.equal(size, frame.length)
  }
})

/** The log as one would write it without a thought for speed. */
class NaiveLog {
  entries: { seq: number; id: string; own: boolean; topic: string | undefined; size: number }[] = []
  topiclessCount = 0
  head = 0
  readonly bounds: { replay: number; events: number; bytes: number }

  constructor(bounds: { replay: number; events: number; bytes: number }) {
    this.bounds = bounds
  }

  get bytes(): number {
    return this.entries.reduce((sum, { size }) => sum + size, 0)
  }

  get topicless(): number[] {
    return this.entries.filter(({ topic }) => topic === undefined).map(({ seq }) => seq)
  }

  append(own: string | undefined, topic: string | undefined, size: number): void {
    this.head++
    this.entries.push({ seq: this.head, id: own ?? `${EPOCH}-${this.head}`, own: own !== undefined, topic, size })
    if (topic === undefined) this.topiclessCount++
    while (this.entries.length > 1 && (this.entries.length > this.bounds.events || this.bytes > this.bounds.bytes)) {
      this.entries.shift()
    }
  }

  has(id: string): boolean {
    return this.entries.some((entry) => entry.own && entry.id.trim() === id.trim())
  }

  isReserved(id: string): boolean {
    return id.trim().startsWith(`${EPOCH}-`)
  }

  positionOf(id: string): Position {
    const [, digits] = /^k3x9-(\d+)$/.exec(id.trim()) ?? []
    const own = this.entries.find((entry) => entry.id.trim() === id.trim())
    const seq = own?.seq ?? Number(digits ?? Number.NaN)
    if (!(seq <= this.head)) return { lost: 'unknown', missed: null }
    const reached = this.entries.every((entry) => entry.seq <= seq) || this.entries.some(({ seq: s }) => s === seq + 1)
    const missed = this.head - seq
    return reached && missed <= this.bounds.replay ? { seq } : { lost: 'expired', missed }
  }
}

t.test('whatever is appended, the log behaves like a naive one', async () => {
  const bounds = fc
    .record({
      replay: fc.nat(30),
      further: fc.nat(100),
      bytes: fc.oneof(fc.integer({ min: 1, max: 400 }), fc.constant(LOTS))
    })
    .map(({ replay, further, bytes }) => ({ replay, events: replay + further, bytes }))
  const ids = ['a', 'b', 'c', ' a', 'ü', '1', 'k3x9', 'k3x9-1', 'k3x9-3', ' k3x9-x']
  const event = fc.record({
    id: fc.option(fc.constantFrom(...ids), { freq: 2, nil: undefined }),
    topic: fc.option(fc.constantFrom('a', 'a.b'), { nil: undefined }),
    size: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 15, max: 40 }) }, fc.integer({ min: 15, max: 500 }))
  })
  fc.assert(
    fc.property(bounds, fc.array(event, { maxLength: 120, size: 'max' }), (bounds, events) => {
      const log = new EventLog({ epoch: EPOCH, ...bounds })
      const naive = new NaiveLog(bounds)
      const given = new Set<string>([...ids, `${EPOCH}-0`])
      for (const { id, topic, size } of events) {
        for (const known of given) assert.equal(log.has(known), naive.has(known), `has('${known}') at ${log.head}`)
        for (const known of given) assert.equal(log.isReserved(known), naive.isReserved(known), known)
        const own = id !== undefined && !naive.has(id) && !naive.isReserved(id) ? id : undefined
        const whole = size + (topic === undefined ? 0 : `: topic ${topic}\n`.length)
        const predicted = log.oldestAfter(whole)
        assert.equal(append(log, { size, id: own, topic }), whole)
        naive.append(own, topic, whole)
        given.add(`${EPOCH}-${naive.head}`)

        const { head, oldest, bytes, topiclessCount } = log
        const topicless = Array.from(log.topiclessAfter(0), ({ seq }) => seq)
        assert.deepEqual(
          { head, oldest, bytes, topiclessCount, topicless, size: log.size, predicted },
          {
            head: naive.head,
            oldest: naive.entries[0]!.seq,
            bytes: naive.bytes,
            topiclessCount: naive.topiclessCount,
            topicless: naive.topicless,
            size: naive.entries.length,
            predicted: oldest
          }
        )
        for (const entry of naive.entries) {
          const { seq, id, topic, frame } = log.at(entry.seq)
          const isSame = seq === entry.seq && id === entry.id && topic === entry.topic && frame.length === entry.size
          assert.ok(isSame, `at(${entry.seq})`)
        }
        for (const id of given) {
          const [got, wanted] = [log.positionOf(id), naive.positionOf(id)]
          // deepEqual on each of some hundred thousand would take longer than all the rest.
          if (JSON.stringify(got) !== JSON.stringify(wanted)) assert.deepEqual(got, wanted, `positionOf('${id}')`)
        }
      }
    }),
    { numRuns: 200 }
  )
})
