import { type Chunk, OwnChunk } from './chunk.js'
import { deflatePiece, GZIP_HEAD, GzipTally } from './gzip.js'
import { EventStream, type Headers } from './stream.js'

/**
 * The bytes of one response, compressed: all clients share the compressed form of a chunk, since it refers to nothing
 * before it. What is a client's own is the head of the gzip member, and its end.
 */
export class GzipStream extends EventStream {
  readonly #tally = new GzipTally()
  /** What is being compressed off the event loop. It counts as not taken yet. */
  #packing: Chunk | undefined
  #isHurried = false

  override open(headers: Headers, first: Chunk, opened: () => void): void {
    this.#tally.add(first.plain)
    super.open(headers, new OwnChunk([GZIP_HEAD, deflatePiece(first.plain)]), opened)
  }

  override write(chunk: Chunk): boolean {
    this.#tally.add(chunk.plain)
    const packed = this.#isHurried ? chunk.packNow() : chunk.pack((packed) => this.#writeLate(packed))
    if (packed !== undefined) return super.write(packed)
    this.#packing = chunk
    return false
  }

  override hurry(): void {
    this.#isHurried = true
    if (this.#packing !== undefined) this.#writeLate(this.#packing.packNow())
  }

  override end(last?: Chunk, connection = false): void {
    if (last !== undefined) this.#tally.add(last.plain)
    const piece = last === undefined ? [] : [deflatePiece(last.plain)]
    super.end(new OwnChunk([...piece, this.#tally.end()]), connection)
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
  }
}
