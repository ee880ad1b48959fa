import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import type { EventLog } from '../../lib/log/event-log.js'
import { heapUsed } from '../kit/heap.js'
import { append, EPOCH, held, logWith } from '../kit/sized-log.js'

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
