import type { Audience } from './audience.js'
import type { LogEntry } from './log-entry.js'
import { SeqList } from './seq-list.js'
import { TopicIndex } from './topic-index.js'

/**
 * Finds the events of the log that concern somebody, by `seq`, whatever else the log holds. It grows with the events held,
 * and keeps nothing of those that have been evicted.
 */
export class EventIndex {
  /** The events without a topic. */
  readonly #untopical = new SeqList()
  readonly #topics = new TopicIndex()
  /** The events that leave a client out, by the client's id. */
  readonly #excepting = new Map<string, SeqList>()

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
    else this.#topics.drop(topic, seq)
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

  /** The events without a topic after a cursor, in order. */
  untopicalAfter(cursor: number): Generator<number> {
    return this.#untopical.after(cursor)
  }

  /** The events after a cursor that leave a client out, in order. */
  exceptingAfter(cursor: number, clientId: string): Iterable<number> {
    return this.#excepting.get(clientId)?.after(cursor) ?? []
  }
}
