import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { EventLog, type EventLogOptions, type Position } from '../../lib/log/event-log.js'
import { heapUsed } from '../kit/heap.js'

const EPOCH = 'k3x9'
const LOTS = 1_000_000

function logWith(bounds: Partial<EventLogOptions> = {}): EventLog {
  return new EventLog({ epoch: EPOCH, replay: LOTS, events: LOTS, bytes: LOTS, ...bounds })
}

interface Sized {
  size?: number
  id?: string | undefined
  topic?: string | undefined
}

function append(log: EventLog, { size, id, topic }: Sized = {}): number {
  const idLine = Buffer.byteLength(`id: ${id ?? log.cursorAt(log.head + 1)}\n`)
  return log.append('x'.repeat(size === undefined ? 1 : size - idLine), { id, topic }).frame.length
}

function held(log: EventLog): number[] {
  return Array.from({ length: log.size }, (_, i) => log.at(log.oldest + i).seq)
}

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

t.test('the size of an event can be computed before it is appended', async (t) => {
  const log = logWith({ events: 2, bytes: 200 })
  append(log, { size: 20 })
  append(log, { size: 20 })
  const sizes: [body: string, ownId: string | undefined, bytes: number][] = [
    ['data: a\n\n', 'own', 'id: own\ndata: a\n\n'.length],
    ['data: é😀\n\n', 'ü', Buffer.byteLength('id: ü\ndata: é😀\n\n')],
    // The number it will have is not known yet: it may be the longest.
    ['data: a\n\n', undefined, 'id: k3x9-9007199254740991\ndata: a\n\n'.length]
  ]
  for (const [body, ownId, bytes] of sizes) {
    t.equal(log.sizeOf(Buffer.byteLength(body), { id: ownId }), bytes)
    t.equal(log.oldestAfter(bytes), 2)
  }
  t.equal(log.oldestAfter(190), 3)
  t.match(log, { head: 2, oldest: 1, size: 2, bytes: 40 })
  t.notOk(log.has('own'))
  t.strictSame(log.positionOf('own'), { lost: 'unknown', missed: null })
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

/** Bytes of memory that a log keeps for its events. */
function memoryOf(log: EventLog): number {
  const buffers = new Set(held(log).map((seq) => log.at(seq).slab.buffer))
  let bytes = 0
  for (const buffer of buffers) bytes += buffer.byteLength
  return bytes
}

t.test('the log keeps little memory but what it counts, whatever the sizes of its events', async (t) => {
  const MIB = 2 ** 20
  const KIB = 2 ** 10
  const sizes: Record<string, () => number> = {
    'of 100 bytes': () => 100,
    'of 1 KiB': () => KIB,
    'as large as shares a slab': () => 8 * KIB - 10,
    'as small as has one to itself': () => 8 * KIB + 1,
    'of all sizes': () => 20 + Math.floor(2 ** (17 * Math.random())),
    'small between large': () => (Math.random() < 0.5 ? 50 : 100 * KIB)
  }
  for (const [what, size] of Object.entries(sizes)) {
    const log = logWith({ bytes: MIB })
    for (let appended = 0; appended < 3 * MIB; ) appended += append(log, { size: size() })
    const framing = 20 * log.size
    // The first and the last slab hold other things, too.
    const bound = ((log.bytes + framing) * 8) / 7 + 2 * 64 * KIB
    t.ok(memoryOf(log) >= log.bytes)
    t.ok(memoryOf(log) <= bound, `${what}: ${memoryOf(log)} bytes for ${log.bytes}, ${bound} allowed`)
  }
})

t.test('evicted events free their slabs', async (t) => {
  const log = logWith({ bytes: 2 ** 20 })
  const slabs = new Set<WeakRef<object>>()
  const alive = () => [...slabs].filter((slab) => slab.deref() !== undefined).length
  let last: Buffer | undefined
  for (let i = 0; i < 1000; i++) {
    append(log, { size: 1000 })
    const { slab } = log.at(log.head)
    if (slab !== last) slabs.add(new WeakRef(slab))
    last = slab
  }
  last = undefined
  await nextTurn()
  heapUsed()
  t.equal(alive(), 16, 'while it holds them')
  await nextTurn()
  append(log, { size: 2 ** 20 })
  heapUsed()
  t.equal(alive(), 1, 'all but the one that is written to')
})

t.test('past its bound of events the log evicts the oldest', async (t) => {
  const log = logWith({ events: 3 })
  for (let i = 0; i < 3; i++) append(log)
  t.strictSame(held(log), [1, 2, 3])
  append(log)
  t.strictSame(held(log), [2, 3, 4])
})

t.test('past its bound of bytes the log evicts as many of the oldest as it must', async (t) => {
  const log = logWith({ bytes: 100 })
  for (const size of [30, 30, 40]) append(log, { size })
  t.strictSame([held(log), log.bytes], [[1, 2, 3], 100], 'a full log is within its bound')
  append(log, { size: 31 })
  t.strictSame([held(log), log.bytes], [[3, 4], 71])
})

t.test('evicted events do not stay in memory', async (t) => {
  const log = logWith({ bytes: 1000 })
  for (let i = 0; i < 40; i++) append(log, { size: 20 })
  append(log, { size: 1000 })
  t.strictSame(held(log), [41])
  for (let seq = 1; seq <= 40; seq++) t.equal(log.at(seq), undefined, `event ${seq}`)
})

t.test('an event larger than the bound of bytes is held alone, until the next comes', async (t) => {
  const log = logWith({ bytes: 100 })
  append(log, { size: 20 })
  append(log, { size: 5000 })
  t.strictSame([held(log), log.bytes], [[2], 5000])
  t.strictSame(log.positionOf(`${EPOCH}-1`), { seq: 1 }, 'and can be resumed to')
  append(log, { size: 20 })
  t.strictSame([held(log), log.bytes], [[3], 20])
})

t.test('a log without history holds the newest event, and nobody resumes over it', async (t) => {
  const log = logWith({ replay: 0, events: 0 })
  append(log)
  append(log)
  t.strictSame(held(log), [2])
  t.strictSame(log.positionOf(`${EPOCH}-1`), { lost: 'expired', missed: 1 })
  t.strictSame(log.positionOf(`${EPOCH}-2`), { seq: 2 })
})

t.test('a log holds all that its bounds allow, however many that is', async (t) => {
  const log = logWith({ events: 700 })
  for (let i = 0; i < 70; i++) append(log)
  // What the log holds lies across the end of its ring whenever it has to grow.
  const crooked = logWith({ events: 700, bytes: 2000 })
  for (let i = 0; i < 50; i++) append(crooked, { size: 60 })
  for (const each of [log, crooked]) {
    for (let i = 0; i < 1500; i++) {
      append(each, { size: 15 })
      if (each.size !== held(each).length || held(each).some((seq, i) => seq !== each.oldest + i))
        t.fail(`${each.head}`)
    }
  }
  t.equal(log.size, 700)
  t.equal(crooked.size, Math.floor(2000 / 15))
})

t.test('a client resumes from any event within reach, and is told how many it missed otherwise', async (t) => {
  const positions = (log: EventLog) =>
    Array.from({ length: log.head + 1 }, (_, seq) => {
      const position = log.positionOf(`${EPOCH}-${seq}`)
      return 'seq' in position ? position.seq : `missed ${position.missed}`
    })
  const evicted = logWith({ events: 2 })
  for (let i = 0; i < 4; i++) append(evicted)
  t.strictSame(positions(evicted), ['missed 4', 'missed 3', 2, 3, 4], 'the one before the oldest held is within reach')
  const beyondReplay = logWith({ replay: 1 })
  for (let i = 0; i < 4; i++) append(beyondReplay)
  t.strictSame(positions(beyondReplay), ['missed 4', 'missed 3', 'missed 2', 3, 4], 'held for slow clients alone')
})

t.test('an id that this log has not assigned is unknown', async (t) => {
  const log = logWith()
  for (let i = 0; i < 12; i++) append(log)
  const ids = [
    '',
    '1',
    '-1',
    'k3x9',
    'k3x9-',
    'k3x9-13',
    'k3x9-9999999999999999',
    'k3x9-99999999999999999',
    'k3x9-01',
    'k3x9-00',
    'k3x9--1',
    'k3x9-+1',
    'k3x9-1e0',
    'k3x9-1.0',
    'k3x9-0x1',
    'k3x9-1 2',
    'k3x9- 1',
    'k3x9-1-1',
    'k3x9-\u0661',
    'K3X9-1',
    'k3x-1',
    'k3x99-1',
    'other-1',
    'own'
  ]
  for (const id of ids) t.strictSame(log.positionOf(id), { lost: 'unknown', missed: null }, JSON.stringify(id))
})

t.test('an event with an id of the app is found by it, and by its number', async (t) => {
  const log = logWith({ replay: 2, events: 3 })
  append(log, { id: 'own' })
  append(log)
  t.strictSame(log.positionOf('own'), { seq: 1 })
  t.strictSame(log.positionOf(`${EPOCH}-1`), { seq: 1 })
  append(log)
  append(log)
  t.strictSame(log.positionOf('own'), { lost: 'unknown', missed: null }, 'not once the log has let it go')
  t.strictSame(log.positionOf(`${EPOCH}-1`), { lost: 'expired', missed: 3 })
})

t.test('an id of the app beyond what may be replayed has expired, though its event is held', async (t) => {
  const log = logWith({ replay: 1 })
  append(log, { id: 'own' })
  append(log)
  t.strictSame(log.positionOf('own'), { seq: 1 })
  append(log)
  t.strictSame(log.positionOf('own'), { lost: 'expired', missed: 2 })
})

t.test('an id is free when no event held has it and the log does not give it itself', async (t) => {
  const log = logWith({ events: 2 })
  append(log, { id: 'own' })
  append(log)
  const ids: [id: string, why: { held: boolean; reserved: boolean }][] = [
    ['own', { held: true, reserved: false }],
    [' own\u00a0', { held: true, reserved: false }],
    ['Own', { held: false, reserved: false }],
    ['k3x9-1', { held: false, reserved: true }],
    ['k3x9-2', { held: false, reserved: true }],
    ['k3x9-99', { held: false, reserved: true }],
    [' k3x9-x', { held: false, reserved: true }],
    ['k3x9', { held: false, reserved: false }],
    ['x-k3x9-1', { held: false, reserved: false }]
  ]
  for (const [id, why] of ids) {
    t.strictSame({ held: log.has(id), reserved: log.isReserved(id) }, why, JSON.stringify(id))
  }
})

t.test('an id of the app is free again once its event is evicted, and then means the new event', async (t) => {
  const log = logWith({ events: 2 })
  append(log, { id: 'own' })
  append(log)
  t.ok(log.has('own'))
  append(log)
  t.notOk(log.has('own'))
  append(log, { id: 'own' })
  t.strictSame(log.positionOf('own'), { seq: 4 })
})

t.test('white space around an id is ignored, since headers lose it', async (t) => {
  const log = logWith()
  append(log, { id: ' own ' })
  for (const id of ['own', ' own ', '\town']) t.strictSame(log.positionOf(id), { seq: 1 }, JSON.stringify(id))
  t.strictSame(log.positionOf(` ${EPOCH}-1 `), { seq: 1 })
  t.equal(log.at(1).frame.toString(), 'id:  own \nx', 'the id itself is sent as it was given')
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
