import type { EventLog } from './event-log.js'

/**
 * Bytes that a chunk aims at. Small enough that what a stuck client pins, one chunk, does not count; large enough that
 * system calls do not.
 */
const CHUNK_BYTES = 64 * 1024
/** Bytes of chunks kept for others at the same cursor, whatever the number of clients. */
const KEPT_BYTES = 4 * 1024 * 1024
/** What a chunk costs beside its bytes, about. */
const OVERHEAD = 512

const CRLF = Buffer.from('\r\n')

/** Bytes for a stream, made once and shared by all clients that need the same. */
export class Chunk {
  /** The bytes as a chunk of HTTP/1.1's chunked coding (RFC 9112 7.1): length, bytes, CRLF. */
  readonly framed: Buffer
  readonly #start: number
  readonly #end: number

  constructor(parts: readonly Buffer[]) {
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

  /** The bytes alone. */
  get plain(): Buffer {
    return this.framed.subarray(this.#start, this.#end)
  }

  /** Number of the bytes alone. */
  get size(): number {
    return this.#end - this.#start
  }
}

/** Consecutive events of the log. */
export class EventChunk extends Chunk {
  /** `seq` of its last event: the cursor of whoever has been given it. */
  readonly to: number
  /** Events in it. */
  readonly events: number

  constructor(parts: readonly Buffer[], to: number) {
    super(parts)
    this.to = to
    this.events = parts.length
  }
}

/**
 * Reads the log in chunks. Boundaries lie at fixed places of the log, so that clients that begin at different cursors
 * need the same chunks from the next boundary on; chunks in demand are kept.
 */
export class ChunkReader {
  readonly #log: EventLog
  /** By the cursor they begin at, the one made last being last. */
  readonly #kept = new Map<number, EventChunk>()
  #keptBytes = 0
  #latestFrom = -1
  #latest: EventChunk | undefined

  constructor(log: EventLog) {
    this.#log = log
  }

  /**
   * The events after `cursor`, up to `limit` or the next boundary, at least one.
   *
   * @param cursor a place in the log, below `limit`
   * @param limit `seq` of the last event wanted, `head` at most
   */
  after(cursor: number, limit: number): EventChunk {
    if (this.#latestFrom === cursor && this.#latest!.to === limit) return this.#latest!
    const to = this.#boundary(cursor, limit)
    const kept = this.#kept.get(cursor)
    if (kept?.to === to) return kept
    const chunk = this.#read(cursor, to)
    this.#latestFrom = cursor
    this.#latest = chunk
    this.#forget(cursor)
    this.#kept.set(cursor, chunk)
    this.#keptBytes += chunk.size + OVERHEAD
    while (this.#keptBytes > KEPT_BYTES) this.#forget(this.#kept.keys().next().value!)
    return chunk
  }

  #forget(cursor: number): void {
    const chunk = this.#kept.get(cursor)
    if (chunk === undefined) return
    this.#keptBytes -= chunk.size + OVERHEAD
    this.#kept.delete(cursor)
  }

  /** Forgets the chunks it keeps. */
  clear(): void {
    this.#kept.clear()
    this.#keptBytes = 0
    this.#latestFrom = -1
    this.#latest = undefined
  }

  #boundary(cursor: number, limit: number): number {
    const block = Math.floor(this.#log.at(cursor + 1).end / CHUNK_BYTES)
    if (Math.floor(this.#log.at(limit).end / CHUNK_BYTES) === block) return limit
    // The last event that ends within the block: ends grow with seq.
    let low = cursor + 1
    let high = limit
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (Math.floor(this.#log.at(middle).end / CHUNK_BYTES) === block) low = middle
      else high = middle
    }
    return low
  }

  #read(cursor: number, to: number): EventChunk {
    const parts: Buffer[] = []
    for (let seq = cursor + 1; seq <= to; seq++) parts.push(this.#log.at(seq).frame)
    return new EventChunk(parts, to)
  }
}
