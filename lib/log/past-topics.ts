// The topics that have no events in the log any more, in the order in which they lost their last one.

import { SeqList } from './seq-list.js'

/** The events of one topic. While it has none, it is linked into the list of past topics. */
export class TopicEvents extends SeqList {
  readonly topic: string
  /** The past topics that lost their last event before and after this one. Of others, the topic itself. */
  older: TopicEvents = this
  newer: TopicEvents = this

  constructor(topic: string, first: number) {
    super([first])
    this.topic = topic
  }
}

/** A linked list, so that a topic that comes back is taken out at once, wherever it is. */
export class PastTopics {
  /** Stands before the oldest topic and after the newest. */
  readonly #end = new TopicEvents('', 0)
  #size = 0

  get size(): number {
    return this.#size
  }

  get oldest(): TopicEvents {
    return this.#end.newer
  }

  /** Adds a topic that has just lost its last event. */
  add(events: TopicEvents): void {
    const { older } = this.#end
    events.older = older
    events.newer = this.#end
    older.newer = events
    this.#end.older = events
    this.#size++
  }

  /** Takes a topic out. */
  delete(events: TopicEvents): void {
    events.older.newer = events.newer
    events.newer.older = events.older
    // With links to past topics it would keep them in memory once they are forgotten.
    events.older = events
    events.newer = events
    this.#size--
  }

  clear(): void {
    this.#end.older = this.#end
    this.#end.newer = this.#end
    this.#size = 0
  }
}
