// The index of the log: finds the events that a client receives without looking at the others. The events themselves
// are in event-log.ts.

import type { Audience } from './audience.js'
import type { LogEntry } from './log-entry.js'
import { SeqList } from './seq-list.js'
import { TopicIndex } from './topic-index.js'

/**
 * Finds events of the log by topic and by `except`, as `seq` numbers. Its size depends on the number of events held. Of
 * evicted events it remembers the last one of each topic.
 */
export class EventIndex {
  /** The events without a topic. */
  readonly #topicless = new SeqList()
  readonly #topics = new TopicIndex()
  /** Events with `except`, by the client id that it names. */
  readonly #excepting = new Map<string, SeqList>()

  /** `seq` of the newest evicted event that has a topic. */
  #lastTopicalDropped = 0
  /** Nothing is known about events up to this `seq`, which were evicted before the last `reset`. */
  #knownFrom = 0

  /** The topics of evicted events up to this `seq` may be forgotten. */
  get knownFrom(): number {
    return Math.max(this.#knownFrom, this.#topics.forgotten)
  }

  /** Number of topics with events in the log. */
  get topicCount(): number {
    return this.#topics.size
  }

  /** Adds the newest event. */
  add({ seq, topic, except }: LogEntry): void {
    if (topic === undefined) this.#topicless.push(seq)
    else this.#topics.add(topic, seq)
    if (except === undefined) return
    const list = this.#excepting.get(except)
    if (list === undefined) this.#excepting.set(except, new SeqList([seq]))
    else list.push(seq)
  }

  /** Drops the oldest event. */
  drop({ seq, topic, except }: LogEntry): void {
    if (topic === undefined) this.#topicless.dropBelow(seq + 1)
    else {
      this.#topics.drop(topic, seq)
      this.#lastTopicalDropped = seq
    }
    if (except === undefined) return
    const list = this.#excepting.get(except)!
    list.dropBelow(seq + 1)
    if (list.size === 0) this.#excepting.delete(except)
  }

  /** Returns the events that an audience receives, as lists that have no event in common. */
  listsOf({ patterns, hearsTopicless }: Audience): readonly SeqList[] {
    const lists = this.#topics.listsOf(patterns)
    return hearsTopicless ? [this.#topicless, ...lists] : lists
  }

  /** Forgets everything about the events up to `seq`. Call it after all events have been dropped. */
  reset(seq: number): void {
    this.#knownFrom = seq
    this.#topics.forget()
  }

  /** Whether events of an audience after a cursor have been dropped. The cursor must not be below `knownFrom`. */
  hasDropped({ patterns, hearsTopicless }: Audience, cursor: number): boolean {
    return (hearsTopicless && this.#topicless.lastDropped > cursor) || this.#topics.hasDropped(patterns, cursor)
  }

  /** Whether all events dropped after a cursor had no topic. */
  hasDroppedTopiclessOnly(cursor: number): boolean {
    return this.#lastTopicalDropped <= cursor
  }

  /** The events without a topic after a cursor, in order. */
  topiclessAfter(cursor: number): Generator<number> {
    return this.#topicless.after(cursor)
  }

  /** The events after a cursor whose `except` names a client, in order. */
  exceptingAfter(cursor: number, clientId: string): Iterable<number> {
    return this.#excepting.get(clientId)?.after(cursor) ?? []
  }
}
