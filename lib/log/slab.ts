// Slabs: buffers that events are written into one after another, so that a run of events is one slice.

/** Default size of a slab, bytes. */
const SLAB_BYTES = 64 * 1024
/**
 * An event that is larger than this fraction of a slab gets a slab of its own, so that little of a slab is left empty.
 */
const MAX_SHARED = 1 / 8

/** Writes text into slabs, adjacent if possible: a run of events is then a slice, which need not be copied. */
export class SlabWriter {
  #slab = Buffer.alloc(0)
  #used = 0
  readonly #bytes: number
  readonly #maxShared: number

  /** @param bytes size of a slab */
  constructor(bytes = SLAB_BYTES) {
    this.#bytes = bytes
    this.#maxShared = bytes * MAX_SHARED
  }

  /** @param size size of the text in UTF-8, bytes */
  write(text: string, size: number): { slab: Buffer; start: number } {
    if (size > this.#maxShared) return { slab: encode(Buffer.allocUnsafeSlow(size), text, 0, size), start: 0 }
    if (this.#used + size > this.#slab.length) {
      // Not from Node's pool, which other code shares.
      this.#slab = Buffer.allocUnsafeSlow(this.#bytes)
      this.#used = 0
    }
    const start = this.#used
    this.#used += size
    return { slab: encode(this.#slab, text, start, size), start }
  }
}

function encode(slab: Buffer, text: string, start: number, size: number): Buffer {
  // One byte per character means ASCII, for which 'latin1' is faster.
  slab.write(text, start, size === text.length ? 'latin1' : 'utf8')
  return slab
}
