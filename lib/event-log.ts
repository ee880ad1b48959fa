import { CHUNK_TAIL_BYTES, type Labels, LogEntry } from './log-entry.js'
import { SeqList } from './seq-list.js'
import { SlabWriter } from './slab.js'

export interface EventLogOptions {
  /** Names this life of the log, so that a cursor from another is recognised. Holds no `-`. */
  epoch: string
  /** Events from the newest back that a client may resume over. */
  replay: number
  /** Events held at most; at least `replay`. */
  events: number
  /** Bytes of encoded events held at most. */
  bytes: number
}

/** Where a client that shows an id stands: at a place in the log, or at none, and why. */
export type Position = { seq: number } | { lost: 'expired'; missed: number } | { lost: 'unknown'; missed: null }

/**
 * The bounded log of events, a ring. A cursor is the `seq` of the last event a reader has; reading from it gives what
 * follows. Appending past a bound evicts the oldest.
 */
export class EventLog {
  readonly epoch: string
  readonly #replay: number
  readonly #maxEvents: number
  readonly #maxBytes: number
  /** Place of an event: `seq & mask`. Grows by doubling, as the log fills. */
  #ring: (LogEntry | undefined)[] = new Array(64)
  #mask = 63
  #head = 0
  #oldest = 1
  #end = 0
  #bytes = 0
  /** Events whose id the user gave. The others are found by their number. */
  readonly #ownIds = new Map<string, number>()
  /** The events without a topic. */
  readonly #untopical = new SeqList()
  readonly #slabs = new SlabWriter()
  #untopicalCount = 0
  #lastUntopical = 0

  constructor({ epoch, replay, events, bytes }: EventLogOptions) {
    this.epoch = epoch
    this.#replay = replay
    this.#maxEvents = Math.max(events, 1)
    this.#maxBytes = bytes
  }

  /** `seq` of the newest event; 0 before the first. */
  get head(): number {
    return this.#head
  }

  /** `seq` of the oldest event held; `head + 1` when it holds none. */
  get oldest(): number {
    return this.#oldest
  }

  /** The oldest cursor that can be resumed from: where the oldest event that may be replayed follows. */
  get oldestCursor(): number {
    return Math.max(this.#oldest - 1, this.#head - this.#replay)
  }

  /** Events held. */
  get size(): number {
    return this.#head - this.#oldest + 1
  }

  /** Events without a topic that were ever appended. */
  get untopicalCount(): number {
    return this.#untopicalCount
  }

  /** `seq` of the newest event without a topic; 0 where there was none. */
  get lastUntopical(): number {
    return this.#lastUntopical
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes
  }

  /** The cursor at a place, as clients are told it. */
  cursorAt(seq: number): string {
    return `${this.epoch}-${seq}`
  }

  /** Whether an event that it holds has this id, given by the user. */
  has(id: string): boolean {
    return this.#ownIds.has(id.trim())
  }

  /** Whether an id is of the form that the log gives itself. */
  isReserved(id: string): boolean {
    return id.trim().startsWith(`${this.epoch}-`)
  }

  /** The event at a place that the log holds. */
  at(seq: number): LogEntry {
    return this.#ring[seq & this.#mask]!
  }

  /** The events without a topic after a cursor, in order. */
  *untopicalAfter(cursor: number): Generator<LogEntry> {
    for (const seq of this.#untopical.after(cursor)) yield this.at(seq)
  }

  /** What `oldest` will be once an event of so many bytes is appended, the newest event always being held. */
  oldestAfter(bytes: number): number {
    let oldest = this.#oldest
    if (this.#head + 1 - oldest >= this.#maxEvents) oldest = this.#head + 2 - this.#maxEvents
    const floor = this.#end + bytes - this.#maxBytes
    while (oldest <= this.#head && this.at(oldest).end - this.at(oldest).size < floor) oldest++
    return oldest
  }

  /** Bytes that an event will have, at most. */
  sizeOf(body: string, ownId = this.cursorAt(Number.MAX_SAFE_INTEGER)): number {
    return Buffer.byteLength(`id: ${ownId}\n`) + Buffer.byteLength(body)
  }

  /**
   * Appends an event, evicting the oldest where a bound is reached.
   *
   * @param body what follows the id line
   */
  append(body: string, labels: Labels = {}): LogEntry {
    const { id: ownId, topic } = labels
    const seq = this.#head + 1
    const id = ownId ?? this.cursorAt(seq)
    const frame = `id: ${id}\n${body}`
    const size = Buffer.byteLength(frame)
    this.#evictUpTo(this.oldestAfter(size))
    if (seq - this.#oldest > this.#mask) this.#grow()
    this.#end += size
    this.#bytes += size
    const length = size.toString(16)
    const framedSize = length.length + 2 + size + CHUNK_TAIL_BYTES
    const { slab, start } = this.#slabs.write(`${length}\r\n${frame}\r\n`, framedSize)
    const entry = new LogEntry(seq, id, labels, size, this.#end, slab, start, start + framedSize)
    this.#ring[seq & this.#mask] = entry
    this.#head = seq
    if (ownId !== undefined) this.#ownIds.set(ownId.trim(), seq)
    if (topic === undefined) {
      this.#untopical.push(seq)
      this.#untopicalCount++
      this.#lastUntopical = seq
    }
    return entry
  }

  /**
   * Where a client stands that shows `id` as the last it has.
   *
   * White space around an id is lost in the header it comes back in (RFC 9110 5.5), so it does not count here.
   */
  positionOf(id: string): Position {
    const key = id.trim()
    const seq = this.#ownIds.get(key) ?? this.#parse(key)
    if (seq === undefined || seq > this.#head) return { lost: 'unknown', missed: null }
    const missed = this.#head - seq
    if (seq < this.oldestCursor) return { lost: 'expired', missed }
    return { seq }
  }

  #parse(id: string): number | undefined {
    const prefix = `${this.epoch}-`
    if (!id.startsWith(prefix)) return undefined
    const digits = id.slice(prefix.length)
    return /^(0|[1-9]\d{0,15})$/.test(digits) ? Number(digits) : undefined
  }

  #evictUpTo(oldest: number): void {
    for (let seq = this.#oldest; seq < oldest; seq++) {
      const { id, size } = this.at(seq)
      this.#ring[seq & this.#mask] = undefined
      this.#bytes -= size
      this.#ownIds.delete(id.trim())
    }
    this.#oldest = oldest
    this.#untopical.dropBelow(oldest)
  }

  #grow(): void {
    const ring = new Array<LogEntry | undefined>(this.#ring.length * 2)
    const mask = ring.length - 1
    for (let seq = this.#oldest; seq <= this.#head; seq++) ring[seq & mask] = this.at(seq)
    this.#ring = ring
    this.#mask = mask
  }
}
