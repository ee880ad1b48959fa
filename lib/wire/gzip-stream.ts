// A stream that is compressed with gzip. How a chunk is compressed is in log/deflate.ts.

import { type Chunk, OwnChunk } from '../log/chunk.js'
import { deflatePiece } from '../log/deflate.js'
import { GZIP_HEAD, GzipTally } from './gzip.js'
import type { Headers } from './response.js'
import { EventStream } from './stream.js'

/**
 * The stream of one response, compressed. All clients share the compressed form of a chunk, since it refers to nothing
 * before it. Only the header and the trailer of the gzip member are a client's own.
 */
export class GzipStream extends EventStream {
  readonly #tally = new GzipTally()
  /** The chunk that is being compressed off the event loop. Nothing else is written meanwhile. */
  #packing: Chunk | undefined

  override get isBusy(): boolean {
    return this.#packing !== undefined
  }

  override open(headers: Headers, first: Chunk, opened: () => void): void {
    this.#tally.add(first.plain)
    super.open(headers, new OwnChunk([GZIP_HEAD, deflatePiece(first.plain)]), opened)
  }

  override write(chunk: Chunk, now: number): boolean {
    this.#tally.add(chunk.plain)
    const packed = chunk.pack((packed) => {
      // `hurry` may have written it.
      if (this.#packing === chunk) this.#writeLate(packed)
    })
    if (packed !== undefined) return super.write(packed, now)
    this.#packing = chunk
    return false
  }

  override hurry(): void {
    // The client may write the next chunk as soon as this one is written.
    while (this.#packing !== undefined && !this.closed) this.#writeLate(this.#packing.packNow())
  }

  override end(last?: Chunk, isTimed = true): void {
    if (last !== undefined) this.#tally.add(last.plain)
    const piece = last === undefined ? [] : [deflatePiece(last.plain)]
    super.end(new OwnChunk([...piece, this.#tally.end()]), isTimed)
  }

  protected override drained(): void {
    // An earlier chunk may drain now. The next one would overtake the chunk that is being compressed.
    if (this.#packing === undefined) super.drained()
  }

  #writeLate(packed: Chunk): void {
    // The stream may have closed meanwhile.
    if (this.closed) return
    this.#packing = undefined
    if (super.write(packed, performance.now())) super.drained()
    else this.listener.onFull()
  }
}
