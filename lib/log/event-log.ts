// The log of events in memory, bounded by the option `history`. It is read for clients in log-reader.ts; which events a
// client receives is found in event-index.ts.

import { encodeMarks } from './encode.js'
import { type CompareCursors, EngineCursors } from './engine-cursors.js'
import { EventIndex } from './event-index.js'
import { CHUNK_TAIL_BYTES, defaultId, type Labels, LogEntry } from './log-entry.js'
import { SlabWriter } from './slab.js'

export interface EventLogOptions {
  /** Identifies this log, so that cursors of another one (before a restart) are recognised. Must not contain `-`. */
  epoch: string
  /** Number of events, from the newest back, that can be replayed to a client that resumes. */
  replay: number
  /** Maximum number of events held; at least `replay`. */
  events: number
  /** Maximum size of the encoded events held, bytes. */
  bytes: number
  /** `seq` of the first event. Default: 1. */
  first?: number
  /** Size of the slabs that events are written into, bytes. Default: 64 KiB. */
  slabBytes?: number
}

/** Bytes of the id line besides the id: `id: `, and a line break. */
const ID_LINE_BYTES = 5
/** Maximum length of what follows the epoch in an id: a dash, and up to sixteen digits. */
const MAX_SEQ_BYTES = 17

/** Where a client with a last event id resumes: after an event of the log, or, if that is lost, why. */
export type Position = { seq: number } | Lost

/** A client that has lost events. `at`: the cursor from which it continues. Default: that of the newest event. */
export type Lost = { at?: number } & ({ lost: 'expired'; missed: number | null } | { lost: 'unknown'; missed: null })

/**
 * The bounded log of events, a ring buffer. A cursor is the `seq` of the last event that a reader has; reading from it
 * gives what follows. Appending past a bound evicts the oldest events.
 *
 * It has many fields because it is hot: they are all that an append touches besides the slab and the index.
 */
export class EventLog {
  readonly epoch: string
  /** The events held, by topic and by `except`. */
  readonly index = new EventIndex()
  readonly #replay: number
  readonly #maxEvents: number
  readonly #maxBytes: number
  /** Event `seq` is at `seq & mask`. The array doubles as the log fills. */
  #ring: (LogEntry | undefined)[] = new Array(64)
  #mask = 63
  #head = 0
  #oldest = 1
  #end = 0
  #bytes = 0
  /** The cursors that an engine has assigned, if one decides the order of events. */
  #engine: EngineCursors | undefined
  #lives = 1
  /** `seq` by id, of events whose id the app has given. Other ids contain the `seq`. */
  readonly #ownIds = new Map<string, number>()
  readonly #slabs: SlabWriter
  #topiclessCount = 0
  #lastTopicless = 0

  constructor({ epoch, replay, events, bytes, first = 1, slabBytes }: EventLogOptions) {
    this.#head = first - 1
    this.#oldest = first
    this.index.reset(first - 1)
    this.#slabs = new SlabWriter(slabBytes)
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

  /** The oldest cursor that a client can resume from. The oldest event that may be replayed follows it. */
  get oldestCursor(): number {
    return Math.max(this.#oldest - 1, this.#head - this.#replay)
  }

  /** How often the log has started: once, and once more for each `rebase`. */
  get lives(): number {
    return this.#lives
  }

  /** Number of events held. */
  get size(): number {
    return this.#head - this.#oldest + 1
  }

  /** Number of events without a topic that were ever appended. */
  get topiclessCount(): number {
    return this.#topiclessCount
  }

  /** `seq` of the newest event without a topic; 0 if there was none. */
  get lastTopicless(): number {
    return this.#lastTopicless
  }

  /** Time since the oldest event held was appended, ms, with a precision of 100 ms; `null` if there is none. */
  get oldestAge(): number | null {
    return this.size === 0 ? null : Math.max(0, performance.now() - this.at(this.#oldest).at * 100)
  }

  /** Size of the events held, bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /** The cursor at `seq`, as clients are told it. */
  cursorAt(seq: number): string {
    if (this.#engine === undefined) return defaultId(this.epoch, seq)
    return seq < this.#oldest ? this.#engine.evictedAt(seq) : this.at(seq).cursor!
  }

  /** Compares a cursor with the newest one. Undefined if it is not a cursor of an engine. */
  compareWithHead(cursor: string): number | undefined {
    return this.#engine?.compareWithHead(cursor.trim(), this.cursorAt(this.#head))
  }

  /** Whether it holds an event with this id, given by the app. */
  has(id: string): boolean {
    return this.#ownIds.has(id.trim())
  }

  /** Whether an id has the form of those that the log assigns itself. */
  isReserved(id: string): boolean {
    return this.#engine === undefined ? id.trim().startsWith(`${this.epoch}-`) : this.#engine.isCursor(id.trim())
  }

  /** The event `seq`, which the log must hold. */
  at(seq: number): LogEntry {
    return this.#ring[seq & this.#mask]!
  }

  /** The events without a topic after a cursor, in order. */
  *topiclessAfter(cursor: number): Generator<LogEntry> {
    for (const seq of this.index.topiclessAfter(cursor)) yield this.at(seq)
  }

  /** Returns what `oldest` will be once an event of this size is appended. The newest event is always held. */
  oldestAfter(bytes: number): number {
    let oldest = this.#oldest
    if (this.#head + 1 - oldest >= this.#maxEvents) oldest = this.#head + 2 - this.#maxEvents
    const floor = this.#end + bytes - this.#maxBytes
    // Usually there is room. The oldest event is then not read: it has long left the CPU's caches.
    if (this.#bytes + bytes <= this.#maxBytes) return oldest
    while (oldest <= this.#head && this.at(oldest).end - this.at(oldest).size < floor) oldest++
    return oldest
  }

  /** Returns the maximum size of an event with a body of `bodyBytes`, bytes. */
  sizeOf(bodyBytes: number, labels: Labels = {}, id = labels.id): number {
    const idBytes = id === undefined ? this.epoch.length + MAX_SEQ_BYTES : Buffer.byteLength(id)
    return ID_LINE_BYTES + idBytes + Buffer.byteLength(encodeMarks(labels)) + bodyBytes
  }

  /**
   * Appends an event, evicting the oldest events past a bound.
   *
   * @param body what follows the marks and the id line
   * @param cursor its cursor, if an engine assigns cursors
   * @param bodyBytes size of the body in UTF-8, bytes, if the caller knows it
   */
  append(body: string, labels: Labels = {}, cursor?: string, bodyBytes = Buffer.byteLength(body)): LogEntry {
    const { id: ownId, topic } = labels
    const seq = this.#head + 1
    const given = ownId ?? cursor
    const id = given ?? defaultId(this.epoch, seq)
    const marks = encodeMarks(labels)
    const marksBytes = topic === undefined ? marks.length : Buffer.byteLength(marks)
    const size = ID_LINE_BYTES + (given === undefined ? id.length : Buffer.byteLength(id)) + marksBytes + bodyBytes
    this.#evictUpTo(this.oldestAfter(size))
    if (seq - this.#oldest > this.#mask) this.#grow()
    this.#end += size
    this.#bytes += size
    const length = size.toString(16)
    const framedSize = length.length + 2 + size + CHUNK_TAIL_BYTES
    const { slab, start } = this.#slabs.write(`${length}\r\n${marks}id: ${id}\n${body}\r\n`, framedSize)
    const place = { slab, start, stop: start + framedSize, end: this.#end, cursor }
    const entry = new LogEntry(seq, this.epoch, labels, size, place)
    this.#ring[seq & this.#mask] = entry
    this.#head = seq
    if (ownId !== undefined) this.#ownIds.set(ownId.trim(), seq)
    if (topic === undefined) {
      this.#topiclessCount++
      this.#lastTopicless = seq
    }
    this.index.add(entry)
    return entry
  }

  /**
   * Returns the `seq` of the event with this id, which may be evicted; -1 if the id is older than every id that is still
   * remembered, undefined if it is not of this log.
   *
   * White space around an id is ignored: it is lost in the header that brings the id back (RFC 9110, 5.5).
   */
  find(id: string): number | undefined {
    const key = id.trim()
    const seq = this.#ownIds.get(key) ?? (this.#engine === undefined ? this.#parse(key) : this.#engine.find(key, this))
    return seq === undefined || seq > this.#head ? undefined : seq
  }

  /** Returns where a client resumes if it sends `id` as its last event id and receives all events. */
  positionOf(id: string): Position {
    const seq = this.find(id)
    if (seq === undefined) return { lost: 'unknown', missed: null }
    // How many events came before is not known.
    if (seq < 0) return { lost: 'expired', missed: null }
    const missed = this.#head - seq
    if (seq < this.oldestCursor) return { lost: 'expired', missed }
    return { seq }
  }

  /** Adds an id without an event, after the newest event: a client that sends it has received everything so far. */
  addBareId(id: string): void {
    this.#engine!.addBare(id, this.#head)
  }

  /**
   * Drops all events. Those that follow come from an engine, which assigns their cursors; earlier cursors become
   * invalid.
   *
   * @param floor the cursor before the first of them
   */
  rebase(floor: string, compare: CompareCursors): void {
    this.#evictUpTo(this.#head + 1)
    this.#engine = new EngineCursors(floor, this.#head, compare)
    this.index.reset(this.#head)
    this.#lives++
  }

  /** Continues after `seq`, as if the events up to it had been appended and evicted. */
  skipTo(seq: number): void {
    this.#evictUpTo(this.#head + 1)
    this.#head = seq
    this.#oldest = seq + 1
    this.index.reset(seq)
  }

  #parse(id: string): number | undefined {
    const prefix = `${this.epoch}-`
    if (!id.startsWith(prefix)) return undefined
    const digits = id.slice(prefix.length)
    return /^(0|[1-9]\d{0,15})$/.test(digits) ? Number(digits) : undefined
  }

  #evictUpTo(oldest: number): void {
    for (let seq = this.#oldest; seq < oldest; seq++) {
      const entry = this.at(seq)
      this.#engine?.addEvicted(entry.cursor!)
      this.#ring[seq & this.#mask] = undefined
      this.#bytes -= entry.size
      if (this.#ownIds.size > 0) this.#ownIds.delete(entry.id.trim())
      this.index.drop(entry)
    }
    this.#oldest = oldest
  }

  #grow(): void {
    const ring = new Array<LogEntry | undefined>(this.#ring.length * 2)
    const mask = ring.length - 1
    for (let seq = this.#oldest; seq <= this.#head; seq++) ring[seq & mask] = this.at(seq)
    this.#ring = ring
    this.#mask = mask
  }
}
