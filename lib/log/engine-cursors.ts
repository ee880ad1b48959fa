// The cursors of a log whose order an engine decides: how they compare, those of evicted events, and those without an
// event. The cursor of an event that is held is in its entry (log-entry.ts).

import { isUnproven } from './engine-id.js'
import type { EventLog } from './event-log.js'

/** Compares two cursors: negative, zero or positive. Undefined if one of them is not a cursor. */
export type CompareCursors = (a: string, b: string) => number | undefined

/** Number of cursors of evicted events that are kept: half a megabyte at some 50 bytes each. */
const MAX_EVICTED = 10_000
/** Number of cursors without an event that are kept. */
const MAX_BARE = 1000

/**
 * Cursors that an engine has assigned, from the one before the first event on. A client that resumes from an evicted
 * event can be told whether it has missed anything as long as the cursor of that event is kept.
 */
export class EngineCursors {
  readonly #compare: CompareCursors
  /** Cursors of evicted events, the oldest first. The first `#dropped` of them are forgotten and will be cut off. */
  #evicted: string[]
  #dropped = 0
  /** `seq` of the last of them. */
  #lastEvicted: number
  /** Cursors that have no event of their own, each with the `seq` of the event before it. */
  readonly #bare = new Map<string, number>()

  /**
   * @param floor the cursor before the first event
   * @param seq its `seq`
   */
  constructor(floor: string, seq: number, compare: CompareCursors) {
    this.#evicted = [floor]
    this.#lastEvicted = seq
    this.#compare = compare
  }

  /** The cursor before the oldest event held. */
  get floor(): string {
    return this.#evicted.at(-1)!
  }

  /** Whether an id has the form of the engine's cursors. */
  isCursor(id: string): boolean {
    return this.#compare(id, this.floor) !== undefined
  }

  /** Adds the cursor of the oldest event, which is being evicted. */
  addEvicted(cursor: string): void {
    this.#evicted.push(cursor)
    this.#lastEvicted++
    if (this.#evicted.length - this.#dropped > MAX_EVICTED) this.#dropped++
    if (this.#dropped < MAX_EVICTED) return
    this.#evicted = this.#evicted.slice(this.#dropped)
    this.#dropped = 0
  }

  /** Adds a cursor without an event, after the event `seq`. */
  addBare(cursor: string, seq: number): void {
    this.#bare.set(cursor, seq)
    if (this.#bare.size > MAX_BARE) this.#bare.delete(this.#bare.keys().next().value!)
  }

  /** Returns the cursor of an evicted event; `floor` if it is forgotten. */
  evictedAt(seq: number): string {
    const index = this.#evicted.length - 1 - (this.#lastEvicted - seq)
    return index < this.#dropped ? this.floor : this.#evicted[index]!
  }

  /** Compares a cursor with that of the newest event. Undefined if it is not a cursor of the engine. */
  compareWithHead(cursor: string, headCursor: string): number | undefined {
    return this.#bare.has(cursor) ? 0 : this.#compare(cursor, headCursor)
  }

  /**
   * Finds the event at a cursor; -1 for a cursor older than all that are kept, undefined for one that is not of this log.
   * A cursor in the right range is not enough: its fingerprint must match, since an engine that has lost entries assigns
   * cursors again.
   */
  find(cursor: string, log: Pick<EventLog, 'oldest' | 'head' | 'at' | 'cursorAt'>): number | undefined {
    const bare = this.#bare.get(cursor)
    if (bare !== undefined) return bare
    const compare = this.#compare
    const fromFloor = compare(cursor, this.floor)
    if (fromFloor === undefined || compare(cursor, log.cursorAt(log.head))! > 0) return undefined
    if (fromFloor < 0) return this.#findEvicted(cursor)
    let low = log.oldest - 1
    let high = log.head
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (compare(log.at(middle).cursor!, cursor)! <= 0) low = middle
      else high = middle - 1
    }
    const found = log.cursorAt(low)
    // A cursor that was assigned to an empty place has no fingerprint: only its position can be compared.
    if (found === cursor || isUnproven(cursor)) return low
    return isUnproven(found) && compare(cursor, found) === 0 ? low : undefined
  }

  /** Finds the evicted event with exactly this cursor; -1 if there is none, or it is forgotten. */
  #findEvicted(cursor: string): number {
    let low = this.#dropped
    let high = this.#evicted.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#compare(this.#evicted[middle]!, cursor)! >= 0) high = middle
      else low = middle + 1
    }
    return this.#evicted[low] === cursor ? this.#lastEvicted - (this.#evicted.length - 1 - low) : -1
  }
}
