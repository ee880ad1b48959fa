// The index of the log by topic: which events have which topic, and which topics have lost events.

import { PastTopics, TopicEvents } from './past-topics.js'
import type { SeqList } from './seq-list.js'
import { isWildcard } from './topic.js'
import { TopicTree } from './topic-tree.js'

/** Number of topics without events whose last event is remembered. */
const MAX_PAST_TOPICS = 10_000

/**
 * The events of the log by topic: a list for each topic, with the `seq` of each event. Of topics without events the
 * empty list is kept, which knows the last dropped event, for up to 10,000 topics. That takes some 200 bytes per topic
 * besides its name, and twice as much once a pattern has been searched.
 */
export class TopicIndex {
  /** Lists by topic, empty ones included. A topic that comes and goes costs no more than one that stays. */
  readonly #lists = new Map<string, TopicEvents>()
  /** The same lists, to be searched by pattern. Created on the first search: many apps use no patterns. */
  #tree: TopicTree<SeqList> | undefined
  /** Results of searches, by the array of patterns of an audience, each with the value of `#changes` at that time. */
  readonly #found = new WeakMap<readonly string[], { changes: number; lists: readonly SeqList[] }>()
  /** Incremented whenever a list is added or deleted. */
  #changes = 0
  readonly #past = new PastTopics()
  #forgotten = 0

  /** Number of topics with events in the log. */
  get size(): number {
    return this.#lists.size - this.#past.size
  }

  /** `seq` of the newest event that has been dropped and forgotten; 0 if there is none. */
  get forgotten(): number {
    return this.#forgotten
  }

  /** Adds the newest event of the log. */
  add(topic: string, seq: number): void {
    const list = this.#lists.get(topic)
    if (list !== undefined) {
      if (list.size === 0) this.#past.delete(list)
      list.push(seq)
      return
    }
    const first = new TopicEvents(topic, seq)
    this.#lists.set(topic, first)
    this.#tree?.add(topic, first)
    this.#changes++
  }

  /** Drops the oldest event of the log. */
  drop(topic: string, seq: number): void {
    const list = this.#lists.get(topic)!
    list.dropBelow(seq + 1)
    if (list.size > 0) return
    this.#past.add(list)
    if (this.#past.size > MAX_PAST_TOPICS) this.#forgetOldest()
  }

  /** Forgets all topics. Call it after all events have been dropped. */
  forget(): void {
    this.#lists.clear()
    this.#tree = undefined
    this.#changes++
    this.#past.clear()
    this.#forgotten = 0
  }

  /** Whether events after a cursor that match one of the patterns have been dropped. */
  hasDropped(patterns: readonly string[], cursor: number): boolean {
    return this.listsOf(patterns).some(({ lastDropped }) => lastDropped > cursor)
  }

  /**
   * Returns the lists of the topics that match one of the patterns, each once, empty lists included.
   *
   * @param patterns topics and patterns; the result is cached for this array until a list is added or deleted
   */
  listsOf(patterns: readonly string[]): readonly SeqList[] {
    if (!patterns.some(isWildcard)) return this.#exact(patterns)
    const found = this.#found.get(patterns)
    if (found?.changes === this.#changes) return found.lists
    this.#tree ??= plant(this.#lists)
    const lists = new Set(this.#exact(patterns))
    for (const pattern of patterns) {
      if (isWildcard(pattern)) for (const list of this.#tree.match(pattern)) lists.add(list)
    }
    const answer = { changes: this.#changes, lists: [...lists] }
    this.#found.set(patterns, answer)
    return answer.lists
  }

  #exact(topics: readonly string[]): SeqList[] {
    const lists: SeqList[] = []
    for (const topic of topics) {
      const list = this.#lists.get(topic)
      if (list !== undefined) lists.push(list)
    }
    return lists
  }

  #forgetOldest(): void {
    const { oldest } = this.#past
    this.#past.delete(oldest)
    this.#lists.delete(oldest.topic)
    this.#tree?.delete(oldest.topic)
    this.#changes++
    this.#forgotten = oldest.lastDropped
  }
}

function plant<Value>(topics: Iterable<[string, Value]>): TopicTree<Value> {
  const tree = new TopicTree<Value>()
  for (const [topic, value] of topics) tree.add(topic, value)
  return tree
}
