import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Chunk, ChunkReader, type EventChunk } from '../lib/chunk.js'
import { EventLog } from '../lib/event-log.js'
import { Http1Parser } from './kit/http1-parser.js'

const KIB = 1024
const BLOCK = 64 * KIB
const KEPT = 4 * KIB * KIB
const FILLER = 'x'.repeat(6 * KIB * KIB)

/** A log of events of these sizes, with all frames that it was ever given: the one of `seq` n at n - 1. */
class FilledLog extends EventLog {
  readonly frames: Buffer[] = []

  constructor(sizes: number[], events = 1_000_000) {
    super({ epoch: 'e', replay: events, events, bytes: Number.MAX_SAFE_INTEGER })
    for (const size of sizes) this.add(size)
  }

  add(size: number): void {
    const idLine = `id: ${this.cursorAt(this.head + 1)}\n`.length
    const { frame } = this.append(FILLER.slice(0, size - idLine))
    assert.equal(frame.length, size)
    this.frames.push(frame)
  }

  /** The bytes of the events after `cursor` up to `to`. */
  between(cursor: number, to: number): Buffer {
    return Buffer.concat(this.frames.slice(cursor, to))
  }
}

function readUpTo(reader: ChunkReader, cursor: number, limit: number): EventChunk[] {
  const chunks: EventChunk[] = []
  while (cursor < limit) {
    const chunk = reader.after(cursor, limit)
    assert.ok(chunk.to > cursor && chunk.to <= limit, `after ${cursor} up to ${limit} came ${chunk.to}`)
    chunks.push(chunk)
    cursor = chunk.to
  }
  return chunks
}

/** What a chunk must be, whoever asks for it. */
function check(chunk: EventChunk, log: FilledLog, cursor: number): void {
  assert.ok(chunk.plain.equals(log.between(cursor, chunk.to)), `bytes after ${cursor} up to ${chunk.to}`)
  assert.equal(chunk.events, chunk.to - cursor)
  assert.equal(chunk.size, chunk.plain.length)
  // An event may lie across the beginning of a block, and is never cut.
  const first = log.frames[cursor]!.length
  assert.ok(chunk.size - first < BLOCK, `${chunk.size} bytes, ${first} of them one event`)
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

t.test('bytes framed are one chunk of chunked coding that holds them and nothing else', async () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1 }), (parts) => {
      const bytes = Buffer.concat(parts)
      const chunk = new Chunk(parts.map((part) => Buffer.from(part)))
      assert.ok(chunk.plain.equals(bytes))
      assert.equal(chunk.size, bytes.length)

      const bodies: Buffer[] = []
      let finished = false
      const parser = new Http1Parser()
      parser.expect({
        method: 'GET',
        httpVersion: '1.1',
        receiveHead: () => {},
        receive: (body) => bodies.push(body),
        finish: () => {
          finished = true
        }
      })
      parser.push(Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'))
      parser.push(chunk.framed)
      assert.ok(Buffer.concat(bodies).equals(bytes))
      assert.equal(finished, false)
      parser.push(Buffer.from('0\r\n\r\n'))
      assert.equal(finished, true)
    }),
    { numRuns: 200 }
  )
})

t.test('a chunk that waits in a full socket keeps no memory but its own', async (t) => {
  for (const size of [1, 100, 5 * KIB]) {
    const { framed } = new Chunk([Buffer.alloc(size)])
    t.equal(framed.buffer.byteLength, framed.length, `${size} bytes`)
  }
})

t.test('chunks hold every event after a cursor, once and in order', async () => {
  fc.assert(
    fc.property(fc.array(size, { minLength: 1, maxLength: 40 }), fc.nat(), fc.nat(), (sizes, a, b) => {
      const log = new FilledLog(sizes)
      const limit = 1 + (a % log.head)
      const cursor = b % limit
      let reached = cursor
      for (const chunk of readUpTo(new ChunkReader(log), cursor, limit)) {
        check(chunk, log, reached)
        reached = chunk.to
      }
      assert.equal(reached, limit)
    }),
    { numRuns: 200 }
  )
})

t.test('whoever reads when, and however the log moves meanwhile, each gets what follows its cursor', async () => {
  const step = fc.oneof(
    { weight: 2, arbitrary: fc.record({ append: fc.array(size, { minLength: 1, maxLength: 5 }) }) },
    {
      weight: 3,
      arbitrary: fc.record({ client: fc.nat(3), chunks: fc.integer({ min: 1, max: 3 }), short: fc.nat(2) })
    },
    { weight: 1, arbitrary: fc.record({ joins: fc.nat(3), at: fc.nat() }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const log = new FilledLog([], 20)
      const reader = new ChunkReader(log)
      const cursors = [0, 0, 0, 0]
      for (const step of steps) {
        if ('append' in step) {
          for (const size of step.append) log.add(size)
        } else if ('joins' in step) {
          cursors[step.joins] = log.oldest - 1 + (step.at % (log.size + 1))
        } else {
          // What the log has let go is not asked for; and an event for one client alone may stop it short of the head.
          let cursor = Math.max(cursors[step.client]!, log.oldest - 1)
          const limit = log.head - step.short
          for (let i = 0; i < step.chunks && cursor < limit; i++) {
            const chunk = reader.after(cursor, limit)
            assert.ok(chunk.to > cursor && chunk.to <= limit, `after ${cursor} up to ${limit} came ${chunk.to}`)
            check(chunk, log, cursor)
            cursor = chunk.to
          }
          cursors[step.client] = cursor
        }
      }
    }),
    { numRuns: 200 }
  )
})

t.test('a chunk ends where its block of 64 KiB does', async (t) => {
  // Blocks are counted by where an event ends: one that ends at a multiple of 64 KiB begins the next.
  const ends = (sizes: number[]) => {
    const log = new FilledLog(sizes)
    return readUpTo(new ChunkReader(log), 0, log.head).map(({ to }) => to)
  }
  t.strictSame(ends([100, 100, 100]), [3])
  t.strictSame(ends(repeat(40, 4 * KIB)), [15, 31, 40])
  t.strictSame(ends([BLOCK - 1, 12, 12]), [1, 3])
  t.strictSame(ends([100, 5 * BLOCK, 100]), [1, 3], 'a larger event is not cut')
})

t.test('clients at the same cursor are given the same Buffer', async (t) => {
  const log = new FilledLog(repeat(100, 4 * KIB))
  const reader = new ChunkReader(log)
  const first = reader.after(0, log.head)
  const head = reader.after(97, log.head)
  t.equal(reader.after(97, log.head), head)
  t.equal(reader.after(0, log.head), first, 'also when others have read elsewhere meanwhile')
  t.equal(reader.after(97, log.head).framed, head.framed)
  t.equal(first.plain.buffer, first.framed.buffer, 'with and without framing')
})

t.test('a cursor at which the log has grown is given what came since, too', async (t) => {
  const log = new FilledLog([100])
  const reader = new ChunkReader(log)
  const before = reader.after(0, 1)
  log.add(100)
  const after = reader.after(0, 2)
  t.not(after, before)
  t.equal(after.to, 2)
  t.equal(reader.after(0, 1).to, 1, 'and one that wants less is given less')
})

t.test('clients that begin at different cursors come to share every chunk but their first', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(small, aroundBlock, fc.integer({ min: 12, max: BLOCK / 2 })), { minLength: 1, maxLength: 30 }),
      fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
      (sizes, starts) => {
        const log = new FilledLog(sizes)
        const reader = new ChunkReader(log)
        const shared = new Set(readUpTo(reader, 0, log.head))
        for (const start of starts) {
          const [, ...rest] = readUpTo(reader, start % log.head, log.head)
          for (const chunk of rest)
            assert.ok(shared.has(chunk), `from ${start % log.head}: the chunk up to ${chunk.to}`)
        }
      }
    ),
    { numRuns: 200 }
  )
})

/** Bytes of the newest of these chunks, which were read in order, that the reader still has. */
function bytesKept(reader: ChunkReader, chunks: readonly EventChunk[], limit: number): number {
  let bytes = 0
  // From the newest back, since asking for one that is gone makes it anew, in the place of others.
  for (const chunk of [...chunks].reverse()) {
    if (reader.after(chunk.to - chunk.events, limit) !== chunk) break
    bytes += chunk.size
  }
  return bytes
}

t.test('chunks are kept for others up to 4 MiB, whatever was read', async (t) => {
  for (const sizes of [repeat(3000, 4 * KIB), [...repeat(1000, 4 * KIB), 2 * KIB * KIB]]) {
    const log = new FilledLog(sizes)
    const reader = new ChunkReader(log)
    const kept = bytesKept(reader, readUpTo(reader, 0, log.head), log.head)
    t.ok(kept <= KEPT, `${kept} bytes are within the bound`)
    t.ok(kept > KEPT - 2 * BLOCK, `${kept} bytes make use of it`)
  }
})

t.test('chunks of a few bytes count with what they cost beside them, so that no great number is kept', async (t) => {
  const log = new FilledLog(repeat(20_000, 20))
  const reader = new ChunkReader(log)
  const chunks = Array.from({ length: log.head }, (_, cursor) => reader.after(cursor, cursor + 1))
  const firstGone = chunks.reverse().findIndex((chunk) => reader.after(chunk.to - 1, chunk.to) !== chunk)
  // By their bytes alone, all of them would be.
  t.ok(firstGone > 0 && firstGone * (20 + 256) < KEPT, `${firstGone} are kept`)
  t.ok(firstGone * (20 + 1024) > KEPT, `${firstGone} make use of the room`)
})

t.test('a chunk that is replaced, as the log grows, does not count any more', async (t) => {
  const log = new FilledLog(repeat(768, 4 * KIB))
  const reader = new ChunkReader(log)
  const chunks = readUpTo(reader, 0, log.head)
  const bytes = bytesKept(reader, chunks, log.head)
  t.equal(bytes, 3 * KIB * KIB)
  const { head } = log
  for (let i = 0; i < 1000; i++) {
    log.add(60)
    reader.after(head, log.head)
  }
  t.equal(bytesKept(reader, chunks, head), bytes)
})

t.test('an event larger than all that is kept is read whole, and shared while it is the newest read', async (t) => {
  const log = new FilledLog([100, KEPT + BLOCK, 100])
  const reader = new ChunkReader(log)
  const large = reader.after(1, 2)
  t.ok(large.plain.equals(log.between(1, 2)))
  t.equal(reader.after(1, 2), large)
  const small = reader.after(0, 1)
  t.not(reader.after(1, 2), large, 'but is not kept')
  t.not(small, reader.after(0, 1), 'and leaves no room to others')
  t.equal(reader.after(0, 1), reader.after(0, 1), 'until they are read again')
})

t.test('chunks that are cleared are made anew, and take no room', async (t) => {
  const log = new FilledLog(repeat(768, 4 * KIB))
  const reader = new ChunkReader(log)
  const before = readUpTo(reader, 0, log.head)
  reader.clear()
  const head = reader.after(before.at(-2)!.to, log.head)
  t.not(head, before.at(-1))
  t.ok(head.framed.equals(before.at(-1)!.framed))
  const after = readUpTo(reader, 0, log.head)
  for (const chunk of after) t.notOk(before.includes(chunk))
  t.equal(bytesKept(reader, after, log.head), 3 * KIB * KIB)
})
