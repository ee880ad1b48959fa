import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { SlabWriter } from '../../lib/log/slab.js'

const KIB = 1024
const SLAB = 64 * KIB
const SHARED = 8 * KIB

function write(slabs: SlabWriter, text: string): { slab: Buffer; start: number; bytes: Buffer } {
  const size = Buffer.byteLength(text)
  const { slab, start } = slabs.write(text, size)
  return { slab, start, bytes: slab.subarray(start, start + size) }
}

const sized = fc
  .tuple(fc.oneof({ weight: 5, arbitrary: fc.nat(2000) }, fc.nat(3 * SHARED)), fc.constantFrom('x', 'é', '€', '😀'))
  .map(([size, character]) => character.repeat(size / Buffer.byteLength(character)))

t.test('what is written stays as it was, whatever is written after', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(sized, fc.string({ unit: 'grapheme' })), { maxLength: 100, size: 'max' }),
      (texts) => {
        const slabs = new SlabWriter()
        const written = texts.map((text) => write(slabs, text).bytes)
        assert.deepEqual(
          written.map((bytes) => bytes.toString()),
          texts
        )
      }
    ),
    { numRuns: 50 }
  )
})

t.test('small texts lie one after another in a slab of 64 KiB, until one does not fit', async (t) => {
  const slabs = new SlabWriter()
  const first = write(slabs, 'x'.repeat(SHARED))
  t.equal(first.slab.buffer.byteLength, SLAB)
  let stop = SHARED
  for (let i = 1; i < 8; i++) {
    const { slab, start } = write(slabs, 'x'.repeat(SHARED))
    t.equal(slab, first.slab)
    t.equal(start, stop)
    stop += SHARED
  }
  const next = write(slabs, 'é')
  t.not(next.slab.buffer, first.slab.buffer, 'a slab is filled to its last byte, and no further')
  t.equal(next.start, 0)
})

t.test('a text of more than 8 KiB has memory to itself, and those around it go on to lie together', async (t) => {
  const slabs = new SlabWriter()
  const before = write(slabs, 'before')
  const large = write(slabs, 'é'.repeat(SHARED / 2 + 1))
  const after = write(slabs, 'after')
  t.equal(large.slab.buffer.byteLength, SHARED + 2)
  t.equal(large.start, 0)
  t.equal(after.slab, before.slab)
  t.equal(after.start, 6)
})

t.test('at most an eighth of a slab is left empty', async () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: SHARED }), { minLength: 20, maxLength: 200 }), (sizes) => {
      const slabs = new SlabWriter()
      const used = new Map<Buffer, number>()
      for (const size of sizes) {
        const { slab, start } = slabs.write('x'.repeat(size), size)
        assert.equal(start, used.get(slab) ?? 0)
        used.set(slab, start + size)
      }
      // The last one is not full yet.
      for (const bytes of [...used.values()].slice(0, -1)) assert.ok(bytes > (SLAB * 7) / 8, `${bytes} of a slab`)
    }),
    { numRuns: 50 }
  )
})

t.test('a slab is not of the memory that Node shares out to others', async (t) => {
  const own = write(new SlabWriter(), 'a').slab
  const other = write(new SlabWriter(), 'b').slab
  t.not(own.buffer, other.buffer)
  t.not(own.buffer, Buffer.from('c').buffer)
})
