import { deflatePiece, deflatePieceLater, isLarge, store } from './deflate.js'
import type { LogEntry } from './log-entry.js'

const CRLF = Buffer.from('\r\n')
/** Clients that get a chunk in one turn of the event loop, where they have waited for its compressed form. */
const TURN = 256

/** Bytes for a stream, made once and shared by all clients that need the same. */
export abstract class Chunk {
  /** The bytes in HTTP/1.1's chunked coding (RFC 9112 7.1). */
  abstract readonly framed: Buffer
  /** The same, in memory that it has to itself or takes a fair part of: for who may keep it long. */
  abstract readonly compact: Buffer
  /** The bytes alone. */
  abstract readonly plain: Buffer
  /** Number of the bytes alone. */
  abstract readonly size: number
  #packed: Chunk | undefined
  /** Its bytes as gzip has them, not compressed. */
  #stored: Chunk | undefined
  /** Who waits for it. */
  #packing: ((packed: Chunk) => void)[] | undefined

  /**
   * Its compressed form, once for all clients.
   *
   * @param later called with it where it takes so long that it is made off the event loop; nothing is returned then
   */
  pack(later: (packed: Chunk) => void): Chunk | undefined {
    if (this.#packed !== undefined) return this.#packed
    if (!isLarge(this.size)) return this.packNow()
    if (this.#packing !== undefined) {
      this.#packing.push(later)
      return undefined
    }
    const packing = [later]
    this.#packing = packing
    deflatePieceLater(this.plain, (piece) => {
      const packed = new OwnChunk([piece])
      this.#packed = packed
      this.#packing = undefined
      callSome(packing, packed)
    })
    return undefined
  }

  /** As `pack`, for who cannot wait: what takes long to compress, and has not been, is not. */
  packNow(): Chunk {
    if (!isLarge(this.size)) this.#packed ??= new OwnChunk([deflatePiece(this.plain)])
    if (this.#packed !== undefined) return this.#packed
    this.#stored ??= new OwnChunk([store(this.plain)])
    return this.#stored
  }
}

/** Bytes that are not in the log. */
export class OwnChunk extends Chunk {
  readonly framed: Buffer
  readonly #start: number
  readonly #end: number

  constructor(parts: readonly Buffer[]) {
    super()
    let size = 0
    for (const part of parts) size += part.length
    const length = size.toString(16)
    // Not from Node's pool: what waits in a full socket would keep 8 KiB of others' bytes with it.
    const framed = Buffer.allocUnsafeSlow(length.length + 2 + size + 2)
    let offset = framed.write(`${length}\r\n`, 'latin1')
    this.#start = offset
    for (const part of parts) offset += part.copy(framed, offset)
    this.#end = offset
    CRLF.copy(framed, offset)
    this.framed = framed
  }

  get compact(): Buffer {
    return this.framed
  }

  get plain(): Buffer {
    return this.framed.subarray(this.#start, this.#end)
  }

  get size(): number {
    return this.#end - this.#start
  }
}

/** Events of the log, in order: a slice of a slab where they lie one after another, a copy otherwise. */
export class EventChunk extends Chunk {
  /** The cursor of whoever has been given it. */
  readonly to: number
  readonly entries: readonly LogEntry[]
  /** Whether it ends where every chunk from this cursor does, not merely where the log ended. */
  readonly isFull: boolean
  /** Each event is a chunk of the coding, as the log holds it. */
  readonly framed: Buffer
  readonly size: number
  /** Whether some client is left out of one of them. */
  readonly #hasExcepts: boolean
  #plain: Buffer | undefined
  #compact: Buffer | undefined

  constructor(entries: readonly LogEntry[], to: number, isFull = false) {
    super()
    this.to = to
    this.entries = entries
    this.isFull = isFull
    let size = 0
    let hasExcepts = false
    let isRun = true
    const { slab, start } = entries[0]!
    let stop = start
    for (const entry of entries) {
      size += entry.size
      if (entry.except !== undefined) hasExcepts = true
      if (entry.slab !== slab || entry.start !== stop) isRun = false
      stop = entry.stop
    }
    this.size = size
    this.#hasExcepts = hasExcepts
    this.framed = isRun
      ? slab.subarray(start, stop)
      : joined(entries.map(({ slab, start, stop }) => slab.subarray(start, stop)))
  }

  get plain(): Buffer {
    const [first] = this.entries
    this.#plain ??= this.entries.length === 1 ? compacted(first!.frame) : joined(this.entries.map(({ frame }) => frame))
    return this.#plain
  }

  get compact(): Buffer {
    this.#compact ??= compacted(this.framed)
    return this.#compact
  }

  /** What one client gets of it: itself, or a copy without what leaves the client out; nothing, when that is all. */
  for(clientId: string): EventChunk | undefined {
    if (!this.#hasExcepts) return this
    const entries = this.entries.filter(({ except }) => except !== clientId)
    if (entries.length === this.entries.length) return this
    return entries.length === 0 ? undefined : new EventChunk(entries, this.to)
  }

  /** As far as the event at an index. */
  upTo(index: number): EventChunk {
    const entries = this.entries.slice(0, index + 1)
    return entries.length === this.entries.length ? this : new EventChunk(entries, entries.at(-1)!.seq)
  }
}

/** Not from Node's pool: what waits in a full socket would keep 8 KiB of others' bytes with it. */
function joined(parts: readonly Buffer[]): Buffer {
  let size = 0
  for (const part of parts) size += part.length
  const whole = Buffer.allocUnsafeSlow(size)
  let offset = 0
  for (const part of parts) offset += part.copy(whole, offset)
  return whole
}

/** Itself, or a copy where it is a small part of the memory that would be kept with it. */
function compacted(bytes: Buffer): Buffer {
  return bytes.length >= bytes.buffer.byteLength / 4 ? bytes : joined([bytes])
}

/** Not all at once, for I/O to be served between them. */
function callSome(calls: ((packed: Chunk) => void)[], packed: Chunk): void {
  for (const call of calls.splice(0, TURN)) call(packed)
  if (calls.length > 0) setImmediate(callSome, calls, packed)
}
