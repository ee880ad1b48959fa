import type { LogEntry } from './event-log.js'

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

/** Events of the log, in order. */
export class EventChunk extends Chunk {
  /** The cursor of whoever has been given it. */
  readonly to: number
  readonly entries: readonly LogEntry[]
  /** Whether it ends where every chunk from this cursor does, not merely where the log ended. */
  readonly isFull: boolean
  /** Whether some client is left out of one of them. */
  readonly hasExcepts: boolean

  constructor(entries: readonly LogEntry[], to: number, isFull = false) {
    super(entries.map(({ frame }) => frame))
    this.to = to
    this.entries = entries
    this.isFull = isFull
    this.hasExcepts = entries.some(({ except }) => except !== undefined)
  }

  /** What one client gets of it: itself, or a copy without what leaves the client out; nothing, when that is all. */
  for(clientId: string): EventChunk | undefined {
    if (!this.hasExcepts) return this
    const entries = this.entries.filter(({ except }) => except !== clientId)
    if (entries.length === this.entries.length) return this
    return entries.length === 0 ? undefined : new EventChunk(entries, this.to)
  }
}
