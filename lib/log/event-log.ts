import { encodeMarks } from './encode.js'
import { EventIndex } from './event-index.js'
import { CHUNK_TAIL_BYTES, type Labels, LogEntry, nameOf } from './log-entry.js'
import { PastPlaces } from './past-places.js'
import { isUnproven } from './place-name.js'
import { SlabWriter } from './slab.js'

/** Tells in which order two cursors are: negative, zero or positive; nothing, where one of them is none. */
export type CompareCursors = (a: string, b: string) => number | undefined

export interface EventLogOptions {
  /** Names this life of the log, so that a cursor from another is recognised. Holds no `-`. */
  epoch: string
  /** Events from the newest back that a client may resume over. */
  replay: number
  /** Events held at most; at least `replay`. */
  events: number
  /** Bytes of encoded events held at most. */
  bytes: number
  /** Number of its first event. Default: 1. */
  first?: number
  /** Bytes of the pieces of memory that events are written into. Default: 64 KiB. */
  slabBytes?: number
}

/** Bytes of an id's line beside the id: its name, and a line break. */
const ID_LINE_BYTES = 5
/** Places without an event that are remembered. */
const MAX_BARE_PLACES = 1000
/** Bytes of what follows the epoch in an id: a dash, and up to sixteen digits. */
const MAX_SEQ_BYTES = 17

/** Where a client that shows an id stands: at a place in the log, or at none, and why. */
export type Position = { seq: number } | Lost

/** `at`: from where it goes on. Default: the newest event. */
export type Lost = { at?: number } & ({ lost: 'expired'; missed: number | null } | { lost: 'unknown'; missed: null })

/**
 * The bounded log of events, a ring. A cursor is the `seq` of the last event a reader has; reading from it gives what
 * follows. Appending past a bound evicts the oldest.
 */
export class EventLog {
  readonly epoch: string
  /** Which of the events held concern whom. */
  readonly index = new EventIndex()
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
  /** Where the places of the log are named by an engine: how their names compare, and those before the oldest event. */
  #shared: { compare: CompareCursors; past: PastPlaces } | undefined
  /** Places of the engine's log that hold no event of their own, and the events before them. */
  readonly #barePlaces = new Map<string, number>()
  #lives = 1
  /** Events whose id the user gave. The others are found by their number. */
  readonly #ownIds = new Map<string, number>()
  readonly #slabs: SlabWriter
  #untopicalCount = 0
  #lastUntopical = 0

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

  /** The oldest cursor that can be resumed from: where the oldest event that may be replayed follows. */
  get oldestCursor(): number {
    return Math.max(this.#oldest - 1, this.#head - this.#replay)
  }

  /** Number of starts of the log: the first, and one for each `rebase`. */
  get lives(): number {
    return this.#lives
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

  /** How long ago the oldest event held was appended, ms, to a tenth of a second; `null` where there is none. */
  get oldestAge(): number | null {
    return this.size === 0 ? null : Math.max(0, performance.now() - this.at(this.#oldest).at * 100)
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes
  }

  /** The cursor at a place, as clients are told it. */
  cursorAt(seq: number): string {
    if (this.#shared === undefined) return nameOf(this.epoch, seq)
    return seq < this.#oldest ? this.#shared.past.nameOf(seq) : this.at(seq).cursor!
  }

  /** How a cursor compares with the newest; nothing, where it is none of an engine's. */
  compareWithHead(cursor: string): number | undefined {
    const key = cursor.trim()
    return this.#barePlaces.has(key) ? 0 : this.#shared?.compare(key, this.cursorAt(this.#head))
  }

  /** Whether an event that it holds has this id, given by the user. */
  has(id: string): boolean {
    return this.#ownIds.has(id.trim())
  }

  /** Whether an id is of the form that the log gives itself. */
  isReserved(id: string): boolean {
    if (this.#shared !== undefined) return this.#shared.compare(id.trim(), this.#shared.past.floor) !== undefined
    return id.trim().startsWith(`${this.epoch}-`)
  }

  /** The event at a place that the log holds. */
  at(seq: number): LogEntry {
    return this.#ring[seq & this.#mask]!
  }

  /** The events without a topic after a cursor, in order. */
  *untopicalAfter(cursor: number): Generator<LogEntry> {
    for (const seq of this.index.untopicalAfter(cursor)) yield this.at(seq)
  }

  /** What `oldest` will be once an event of so many bytes is appended, the newest event always being held. */
  oldestAfter(bytes: number): number {
    let oldest = this.#oldest
    if (this.#head + 1 - oldest >= this.#maxEvents) oldest = this.#head + 2 - this.#maxEvents
    const floor = this.#end + bytes - this.#maxBytes
    // Most often there is room, and the oldest event need not be looked at, which is long out of every cache.
    if (this.#bytes + bytes <= this.#maxBytes) return oldest
    while (oldest <= this.#head && this.at(oldest).end - this.at(oldest).size < floor) oldest++
    return oldest
  }

  /** Bytes that an event will have, at most, whose body has so many. */
  sizeOf(bodyBytes: number, labels: Labels = {}, id = labels.id): number {
    const idBytes = id === undefined ? this.epoch.length + MAX_SEQ_BYTES : Buffer.byteLength(id)
    return ID_LINE_BYTES + idBytes + Buffer.byteLength(encodeMarks(labels)) + bodyBytes
  }

  /**
   * Appends an event, evicting the oldest where a bound is reached.
   *
   * @param body what follows the marks and the id line
   * @param cursor the name of its place, where an engine names the places
   * @param bodyBytes bytes of the body as UTF-8, for who has counted them
   */
  append(body: string, labels: Labels = {}, cursor?: string, bodyBytes = Buffer.byteLength(body)): LogEntry {
    const { id: ownId, topic } = labels
    const seq = this.#head + 1
    const given = ownId ?? cursor
    const id = given ?? nameOf(this.epoch, seq)
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
      this.#untopicalCount++
      this.#lastUntopical = seq
    }
    this.index.add(entry)
    return entry
  }

  /**
   * `seq` of the event that `id` names, which may be evicted; -1 for an id from before all that is known, nothing for one
   * that is none of this log.
   *
   * White space around an id is lost in the header it comes back in (RFC 9110 5.5), so it does not count here.
   */
  find(id: string): number | undefined {
    const key = id.trim()
    const seq = this.#ownIds.get(key) ?? (this.#shared === undefined ? this.#parse(key) : this.#search(key))
    return seq === undefined || seq > this.#head ? undefined : seq
  }

  /** Where a client stands that shows `id` as the last it has, and hears all events. */
  positionOf(id: string): Position {
    const seq = this.find(id)
    if (seq === undefined) return { lost: 'unknown', missed: null }
    // What has gone before the oldest event nobody has counted.
    if (seq < 0) return { lost: 'expired', missed: null }
    const missed = this.#head - seq
    if (seq < this.oldestCursor) return { lost: 'expired', missed }
    return { seq }
  }

  /** A place after the newest event that holds none: who shows it has had all up to there. */
  addBarePlace(cursor: string): void {
    this.#barePlaces.set(cursor, this.#head)
    if (this.#barePlaces.size > MAX_BARE_PLACES) this.#barePlaces.delete(this.#barePlaces.keys().next().value!)
  }

  /**
   * Forgets all events: those that follow are an engine's, which names the places. Cursors from before are of no use.
   *
   * @param floor the place after which they follow
   */
  rebase(floor: string, compare: CompareCursors): void {
    this.#evictUpTo(this.#head + 1)
    this.#barePlaces.clear()
    this.#shared = { compare, past: new PastPlaces(floor, this.#head, compare) }
    this.index.reset(this.#head)
    this.#lives++
  }

  /** Goes on as if the events up to `seq` had been there and left. */
  skipTo(seq: number): void {
    this.#evictUpTo(this.#head + 1)
    this.#head = seq
    this.#oldest = seq + 1
    this.index.reset(seq)
  }

  /**
   * The event at a cursor; -1 for a cursor before all that is known, nothing for one that is none of this log. What stands
   * at its place must be what stood there when it was given: it is not enough that its place lies between two events.
   */
  #search(cursor: string): number | undefined {
    const { compare, past } = this.#shared!
    const bare = this.#barePlaces.get(cursor)
    if (bare !== undefined) return bare
    const fromFloor = compare(cursor, past.floor)
    if (fromFloor === undefined || compare(cursor, this.cursorAt(this.#head))! > 0) return undefined
    if (fromFloor < 0) return past.find(cursor)
    let low = this.#oldest - 1
    let high = this.#head
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (compare(this.at(middle).cursor!, cursor)! <= 0) low = middle
      else high = middle - 1
    }
    const found = this.cursorAt(low)
    // Of a place that was empty when it was named, nobody knows more than where it is.
    if (found === cursor || isUnproven(cursor)) return low
    return isUnproven(found) && compare(cursor, found) === 0 ? low : undefined
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
      this.#shared?.past.add(entry.cursor!)
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
