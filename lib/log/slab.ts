/** Bytes of a slab. */
const SLAB_BYTES = 64 * 1024
/** What is larger than this part of a slab has one of its own, so that little of a slab is left empty. */
const MAX_SHARED = 1 / 8

/** Bytes that lie one after another where it is possible: a run of them is a slice, which nobody has to copy. */
export class SlabWriter {
  #slab = Buffer.alloc(0)
  #used = 0
  readonly #bytes: number
  readonly #maxShared: number

  /** @param bytes of a slab */
  constructor(bytes = SLAB_BYTES) {
    this.#bytes = bytes
    this.#maxShared = bytes * MAX_SHARED
  }

  /** @param size bytes of the text as UTF-8 */
  write(text: string, size: number): { slab: Buffer; start: number } {
    if (size > this.#maxShared) return { slab: encode(Buffer.allocUnsafeSlow(size), text, 0, size), start: 0 }
    if (this.#used + size > this.#slab.length) {
      // Not from Node's pool, which others share.
      this.#slab = Buffer.allocUnsafeSlow(this.#bytes)
      this.#used = 0
    }
    const start = this.#used
    this.#used += size
    return { slab: encode(this.#slab, text, start, size), start }
  }
}

function encode(slab: Buffer, text: string, start: number, size: number): Buffer {
  // A byte a character: it is ASCII, for which there is a faster way.
  slab.write(text, start, size === text.length ? 'latin1' : 'utf8')
  return slab
}
