import type { Audience } from './audience.js'
import type { LogEntry } from './log-entry.js'
import { SeqList } from './seq-list.js'
import { TopicIndex } from './topic-index.js'

/**
 * Finds the events of the log that concern somebody, by `seq`, whatever else the log holds. It grows with the events held,
 * and keeps of those that have been evicted which was the last of each topic.
 */
export class EventIndex {
  /** The events without a topic. */
  readonly #untopical = new SeqList()
  readonly #topics = new TopicIndex()
  /** The events that leave a client out, by the client's id. */
  readonly #excepting = new Map<string, SeqList>()

  /** `seq` of the newest evicted event that has a topic. */
  #lastTopicalDropped = 0
  /** Nothing is known of what was evicted up to there. */
  #knownFrom = 0

  /** Of the events up to this `seq` that are evicted, some may be forgotten: whom they concerned is not known. */
  get knownFrom(): number {
    return Math.max(this.#knownFrom, this.#topics.forgotten)
  }

  /** Topics that events in the log have. */
  get topicCount(): number {
    return this.#topics.size
  }

  /** Adds the newest event. */
  add({ seq, topic, except }: LogEntry): void {
    if (topic === undefined) this.#untopical.push(seq)
    else this.#topics.add(topic, seq)
    if (except === undefined) return
    const list = this.#excepting.get(except)
    if (list === undefined) this.#excepting.set(except, new SeqList([seq]))
    else list.push(seq)
  }

  /** Drops the oldest event. */
  drop({ seq, topic, except }: LogEntry): void {
    if (topic === undefined) this.#untopical.dropBelow(seq + 1)
    else {
      this.#topics.drop(topic, seq)
      this.#lastTopicalDropped = seq
    }
    if (except === undefined) return
    const list = this.#excepting.get(except)!
    list.dropBelow(seq + 1)
    if (list.size === 0) this.#excepting.delete(except)
  }

  /** The events that an audience hears: lists that have no event in common. */
  listsOf({ patterns, hearsCommon }: Audience): readonly SeqList[] {
    const lists = this.#topics.listsOf(patterns)
    return hearsCommon ? [this.#untopical, ...lists] : lists
  }

  /** All events have been dropped: forgets what they were, up to `seq`. */
  reset(seq: number): void {
    this.#knownFrom = seq
    this.#topics.forget()
  }

  /** Whether events of an audience have been dropped that follow a cursor, which is one from `knownFrom` on. */
  hasDropped({ patterns, hearsCommon }: Audience, cursor: number): boolean {
    return (hearsCommon && this.#untopical.lastDropped > cursor) || this.#topics.hasDropped(patterns, cursor)
  }

  /** Whether all that has been dropped after a cursor had no topic. */
  hasDroppedUntopicalOnly(cursor: number): boolean {
    return this.#lastTopicalDropped <= cursor
  }

  /** The events without a topic after a cursor, in order. */
  untopicalAfter(cursor: number): Generator<number> {
    return this.#untopical.after(cursor)
  }

  /** The events after a cursor that leave a client out, in order. */
  exceptingAfter(cursor: number, clientId: string): Iterable<number> {
    return this.#excepting.get(clientId)?.after(cursor) ?? []
  }
}
