/** Bytes of a slab. */
const SLAB_BYTES = 64 * 1024
/** What is larger has a slab of its own, so that little of a slab is left empty. */
const MAX_SHARED_BYTES = SLAB_BYTES / 8

/** Bytes that lie one after another where it is possible: a run of them is a slice, which nobody has to copy. */
export class SlabWriter {
  #slab = Buffer.alloc(0)
  #used = 0

  /** @param size bytes of the text as UTF-8 */
  write(text: string, size: number): { slab: Buffer; start: number } {
    if (size > MAX_SHARED_BYTES) return { slab: encode(Buffer.allocUnsafeSlow(size), text, 0, size), start: 0 }
    if (this.#used + size > this.#slab.length) {
      // Not from Node's pool, which others share.
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
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
