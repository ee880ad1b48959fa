import { type Chunk, OwnChunk } from '../log/chunk.js'
import { deflatePiece } from '../log/deflate.js'
import { GZIP_HEAD, GzipTally } from './gzip.js'
import type { Headers } from './response.js'
import { EventStream } from './stream.js'

/**
 * The bytes of one response, compressed: all clients share the compressed form of a chunk, since it refers to nothing
 * before it. What is a client's own is the head of the gzip member, and its end.
 */
export class GzipStream extends EventStream {
  readonly #tally = new GzipTally()
  /** What is being compressed off the event loop. It counts as not taken yet. */
  #packing: Chunk | undefined

  override get isBusy(): boolean {
    return this.#packing !== undefined
  }

  override open(headers: Headers, first: Chunk, opened: () => void): void {
    this.#tally.add(first.plain)
    super.open(headers, new OwnChunk([GZIP_HEAD, deflatePiece(first.plain)]), opened)
  }

  override write(chunk: Chunk): boolean {
    this.#tally.add(chunk.plain)
    const packed = chunk.pack((packed) => {
      // Unless it was hurried.
      if (this.#packing === chunk) this.#writeLate(packed)
    })
    if (packed !== undefined) return super.write(packed)
    this.#packing = chunk
    return false
  }

  override hurry(): void {
    // Who drains by that may give it more at once.
    while (this.#packing !== undefined && !this.closed) this.#writeLate(this.#packing.packNow())
  }

  override end(last?: Chunk, isTimed = true): void {
    if (last !== undefined) this.#tally.add(last.plain)
    const piece = last === undefined ? [] : [deflatePiece(last.plain)]
    super.end(new OwnChunk([...piece, this.#tally.end()]), isTimed)
  }

  protected override drained(): void {
    // What was written before may drain late: what comes next would overtake what is being compressed.
    if (this.#packing === undefined) super.drained()
  }

  #writeLate(packed: Chunk): void {
    // It may have gone meanwhile, or have ended without waiting.
    if (this.closed) return
    this.#packing = undefined
    if (super.write(packed)) super.drained()
    else this.listener.onFull()
  }
}
