import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import type { EventChunk } from '../../lib/log/chunk.js'
import { heapUsed } from '../kit/heap.js'
import { BLOCK, KIB, ReadLog, repeat } from '../kit/read-log.js'

const KEPT = 4 * KIB * KIB

/** Bytes of the newest of these chunks, which were read in order from `0`, that the reader still has. */
function bytesKept({ reader, everyone }: ReadLog, chunks: readonly EventChunk[], limit: number): number {
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
    const setup = new ReadLog(sizes)
    const kept = bytesKept(setup, setup.history(setup.everyone, 0), setup.log.head)
    t.ok(kept <= KEPT, `${kept} bytes are within the bound`)
    t.ok(kept > KEPT - 3 * BLOCK, `${kept} bytes make use of it`)
  }
})

t.test('small chunks count with their overhead, so that their number is bounded', async (t) => {
  const { reader, log, everyone } = new ReadLog(repeat(20_000, 20))
  const chunks = Array.from({ length: log.head }, (_, cursor) => reader.history(everyone, cursor, cursor + 1)!)
  const firstGone = chunks.reverse().findIndex((chunk) => reader.history(everyone, chunk.to - 1, chunk.to) !== chunk)
  // By their bytes alone, all of them would be.
  t.ok(firstGone > 0 && firstGone * (20 + 256) < KEPT, `${firstGone} are kept`)
  t.ok(firstGone * (20 + 1024) > KEPT, `${firstGone} make use of the room`)
})

t.test('a chunk that is replaced as the log grows no longer counts', async (t) => {
  const setup = new ReadLog(repeat(768, 4 * KIB))
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
  const setup = new ReadLog([100, KEPT + BLOCK, 100])
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
  const setup = new ReadLog(repeat(768, 4 * KIB))
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
  const setup = new ReadLog([], { events: 100 })
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
