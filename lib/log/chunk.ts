// Chunks: bytes that are made once and written to many clients. How they are compressed is in deflate.ts; which events
// a chunk holds is decided in log-reader.ts.

import { deflatePiece, deflatePieceLater, isLarge, store } from './deflate.js'
import type { LogEntry } from './log-entry.js'

const CRLF = Buffer.from('\r\n')
/** Number of waiting clients that are given a compressed chunk in one turn of the event loop. */
const TURN = 256

/** Bytes of a stream, shared by all clients that need the same ones. */
export abstract class Chunk {
  /** The bytes in the chunked transfer coding of HTTP/1.1 (RFC 9112, 7.1). */
  abstract readonly framed: Buffer
  /**
   * Same as `framed`, in a buffer of at most four times the size, so that it can be kept for long. `framed` may be a
   * small slice of a slab and keep all of it alive.
   */
  abstract readonly compact: Buffer
  /** The bytes without framing. */
  abstract readonly plain: Buffer
  /** Length of `plain`, bytes. */
  abstract readonly size: number
  #packed: Chunk | undefined
  /** The bytes as deflate blocks without compression. */
  #stored: Chunk | undefined
  /** Callbacks that wait for `#packed`, while the chunk is being compressed. */
  #packing: ((packed: Chunk) => void)[] | undefined

  /**
   * Returns the compressed form, which all clients share.
   *
   * @param later called with the compressed form if the chunk is so large that it is compressed off the event loop;
   *   `pack` then returns undefined
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

  /**
   * Like `pack`, for callers that cannot wait: a large chunk that is not compressed yet is returned as deflate blocks
   * without compression.
   */
  packNow(): Chunk {
    if (!isLarge(this.size)) this.#packed ??= new OwnChunk([deflatePiece(this.plain)])
    if (this.#packed !== undefined) return this.#packed
    this.#stored ??= new OwnChunk([store(this.plain)])
    return this.#stored
  }
}

/** A chunk of bytes that are not in the log: greetings, keepalives, resyncs, direct sends. */
export class OwnChunk extends Chunk {
  readonly framed: Buffer
  readonly #start: number
  readonly #end: number

  constructor(content: string | readonly Buffer[]) {
    super()
    let size = 0
    if (typeof content === 'string') size = Buffer.byteLength(content)
    else for (const part of content) size += part.length
    const length = size.toString(16)
    // Not from Node's pool: a buffer that waits for a full socket would keep 8 KiB of unrelated bytes alive.
    const framed = Buffer.allocUnsafeSlow(length.length + 2 + size + 2)
    let offset = framed.write(`${length}\r\n`, 'latin1')
    this.#start = offset
    if (typeof content === 'string') offset += framed.write(content, offset)
    else for (const part of content) offset += part.copy(framed, offset)
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

/** A chunk of log events, in order. It is a slice of a slab if the events are adjacent there, and a copy otherwise. */
export class EventChunk extends Chunk {
  /** The cursor of a client that has been given this chunk. */
  readonly to: number
  readonly entries: readonly LogEntry[]
  /** Whether it is as long as chunks get. False if it only ends there because the log did. */
  readonly isFull: boolean
  /** Each event is one chunk of the transfer coding, as the log holds it. */
  readonly framed: Buffer
  readonly size: number
  /** Whether one of the events has `except`. */
  readonly hasExcepts: boolean
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
    this.hasExcepts = hasExcepts
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

  /**
   * Returns the chunk as one client receives it: without the events whose `except` names the client. Undefined if
   * nothing is left.
   */
  for(clientId: string): EventChunk | undefined {
    if (!this.hasExcepts) return this
    const entries = this.entries.filter(({ except }) => except !== clientId)
    if (entries.length === this.entries.length) return this
    return entries.length === 0 ? undefined : new EventChunk(entries, this.to)
  }

  /** Returns the part up to and including the event at `index`. */
  upTo(index: number): EventChunk {
    const entries = this.entries.slice(0, index + 1)
    return entries.length === this.entries.length ? this : new EventChunk(entries, entries.at(-1)!.seq)
  }
}

/** Not from Node's pool: a buffer that waits for a full socket would keep 8 KiB of unrelated bytes alive. */
function joined(parts: readonly Buffer[]): Buffer {
  let size = 0
  for (const part of parts) size += part.length
  const whole = Buffer.allocUnsafeSlow(size)
  let offset = 0
  for (const part of parts) offset += part.copy(whole, offset)
  return whole
}

/** Copies the bytes if they are less than a quarter of the memory that they would keep alive. */
function compacted(bytes: Buffer): Buffer {
  return bytes.length >= bytes.buffer.byteLength / 4 ? bytes : joined([bytes])
}

/** Calls back in batches, so that the event loop serves I/O in between. */
function callSome(calls: ((packed: Chunk) => void)[], packed: Chunk): void {
  for (const call of calls.splice(0, TURN)) call(packed)
  if (calls.length > 0) setImmediate(callSome, calls, packed)
}
