import assert from 'node:assert/strict'
import { crc32, gunzipSync, inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { deflatePiece, deflatePieceLater, isLarge, store } from '../../lib/log/deflate.js'
import { GZIP_HEAD, GzipTally } from '../../lib/wire/gzip.js'
import { Deflates } from '../kit/deflates.js'

const KIB = 1024

function later(bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve) => deflatePieceLater(bytes, resolve))
}

/** A gzip member of these pieces, which hold these bytes. */
function memberOf(pieces: Buffer[], bytes: Buffer[]): Buffer {
  const tally = new GzipTally()
  for (const each of bytes) tally.add(each)
  return Buffer.concat([GZIP_HEAD, ...pieces, tally.end()])
}

const text = fc
  .tuple(fc.constantFrom(0, 1, 50, 99, 100, 4 * KIB - 1, 4 * KIB, 16 * KIB, 70 * KIB, 200 * KIB), fc.nat(40))
  .map(([size, further]) =>
    Buffer.from('data: {"id":7,"title":"é"}\n\n'.repeat(size / 20 + 1)).subarray(0, size + further)
  )
const noise = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 9000, size: 'max' }))
const bytes = fc.oneof(
  { weight: 3, arbitrary: text },
  noise.map((bytes) => Buffer.from(bytes))
)

t.test('pieces can follow one another in any order, and end anywhere', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(bytes, fc.constantFrom('now', 'later', 'stored')), { maxLength: 12 }),
      async (all) => {
        const pieces = await Promise.all(
          all.map(([bytes, how]) =>
            how === 'later' ? later(bytes) : how === 'now' ? deflatePiece(bytes) : store(bytes)
          )
        )
        const plain = all.map(([bytes]) => bytes)
        assert.ok(gunzipSync(memberOf(pieces, plain)).equals(Buffer.concat(plain)))
        const backwards = [...plain].reverse()
        assert.ok(gunzipSync(memberOf([...pieces].reverse(), backwards)).equals(Buffer.concat(backwards)))
        const twice = [...plain, ...plain]
        assert.ok(gunzipSync(memberOf([...pieces, ...pieces], twice)).equals(Buffer.concat(twice)))
      }
    ),
    { numRuns: 60 }
  )
})

t.test(
  'a piece can be read to its last byte before anything follows, also by an inflater that waits for a flush',
  async (t) => {
    for (const size of [
      1,
      2,
      98,
      99,
      100,
      101,
      4 * KIB - 1,
      4 * KIB,
      16 * KIB,
      16 * KIB + 1,
      0xffff,
      0x10000,
      130 * KIB
    ]) {
      const bytes = Buffer.alloc(size, 'event ')
      for (const piece of [deflatePiece(bytes), await later(bytes), store(bytes)]) {
        // Without the end of the stream, what it has so far.
        const read = inflateRawSync(piece, { finishFlush: 2 })
        t.ok(read.equals(bytes), `${size} bytes in ${piece.length}`)
        t.equal(piece.subarray(-4).toString('hex'), '0000ffff', 'an empty stored block is last')
      }
    }
  }
)

t.test('text shrinks to a fraction, and what is too short to gain grows by a few bytes', async (t) => {
  const event = Buffer.from('id: k3x9-42\nevent: todo\ndata: {"id":7,"title":"a task"}\n\n')
  t.equal(deflatePiece(event).length, event.length + 10)
  const many = Buffer.concat(new Array(100).fill(event))
  t.ok(deflatePiece(many).length < many.length / 20)
  t.ok((await later(many)).length < many.length / 20)
})

t.test('stored bytes are split into blocks of 64 KiB', async (t) => {
  for (const size of [0, 1, 0xffff, 0x10000, 3 * 0xffff, 200 * KIB]) {
    const bytes = Buffer.alloc(size, 'x')
    const stored = store(bytes)
    t.equal(stored.length, size + 5 * Math.ceil(size / 0xffff) + 5)
    t.ok(gunzipSync(memberOf([stored], [bytes])).equals(bytes), `${size} bytes`)
  }
})

t.test('more than 16 KiB are compressed off the event loop', async (t) => {
  t.equal(isLarge(16 * KIB), false)
  t.equal(isLarge(16 * KIB + 1), true)
})

t.test('what cannot be compressed off the event loop is stored', async (t) => {
  const deflates = new Deflates(t)
  deflates.error = new Error('no memory')
  const bytes = Buffer.alloc(20 * KIB, 'x')
  const piece = await later(bytes)
  t.ok(piece.equals(store(bytes)))
})

t.test('an empty stream ends properly', async (t) => {
  t.equal(gunzipSync(memberOf([], [])).length, 0)
})

t.test('the trailer has the checksum of all bytes, and their number modulo 2^32', async (t) => {
  const tally = new GzipTally()
  const chunk = Buffer.alloc(2 ** 26)
  let crc = 0
  for (let i = 0; i < 64; i++) {
    tally.add(chunk)
    crc = crc32(chunk, crc)
  }
  const rest = Buffer.from('and the rest')
  tally.add(rest)
  const end = tally.end()
  t.strictSame([...end.subarray(0, 2)], [3, 0], 'an empty final block')
  t.equal(end.readUInt32LE(2), crc32(rest, crc))
  t.equal(end.readUInt32LE(6), rest.length)
})

t.test('a wrong checksum is noticed by the client', async (t) => {
  const bytes = Buffer.from('an event')
  t.throws(() => gunzipSync(memberOf([store(bytes)], [Buffer.from('an Event')])), /incorrect data check/)
  t.throws(() => gunzipSync(memberOf([store(bytes)], [bytes, Buffer.alloc(0), Buffer.alloc(1)])))
})
