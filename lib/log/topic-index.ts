// The index of the log by topic: which events have which topic, and which topics have lost events.

import { SeqList } from './seq-list.js'
import { isWildcard } from './topic.js'
import { TopicTree } from './topic-tree.js'

/** Number of topics without events whose last event is remembered. */
const MAX_PAST_TOPICS = 10_000
/** Number of outdated entries that `#left` may hold: topics that have events again, or are forgotten. */
const MAX_STALE = 64

/** A topic whose last event has left the log, and the `seq` of that event. */
interface LeftTopic {
  readonly topic: string
  readonly seq: number
}

/**
 * The events of the log by topic: a list for each topic, with the `seq` of each event. Of topics without events the
 * empty list is kept, which knows the last dropped event, for up to 10,000 topics. That takes some 200 bytes per topic
 * besides its name, and twice as much once a pattern has been searched.
 */
export class TopicIndex {
  /** Lists by topic, empty ones included. A topic that comes and goes costs no more than one that stays. */
  readonly #lists = new Map<string, SeqList>()
  /** The same lists, to be searched by pattern. Created on the first search: many apps use no patterns. */
  #tree: TopicTree<SeqList> | undefined
  /** Results of searches, by the array of patterns of an audience, each with the value of `#changes` at that time. */
  readonly #found = new WeakMap<readonly string[], { changes: number; lists: readonly SeqList[] }>()
  /** Incremented whenever a list is added or deleted. */
  #changes = 0
  #emptyCount = 0
  /** Topics in the order in which they lost their last event, from `#firstLeft` on. */
  #left: LeftTopic[] = []
  #firstLeft = 0
  #forgotten = 0

  /** Number of topics with events in the log. */
  get size(): number {
    return this.#lists.size - this.#emptyCount
  }

  /** `seq` of the newest event that has been dropped and forgotten; 0 if there is none. */
  get forgotten(): number {
    return this.#forgotten
  }

  /** Adds the newest event of the log. */
  add(topic: string, seq: number): void {
    const list = this.#lists.get(topic)
    if (list !== undefined) {
      if (list.size === 0) this.#emptyCount--
      list.push(seq)
      return
    }
    const first = new SeqList([seq])
    this.#lists.set(topic, first)
    this.#tree?.add(topic, first)
    this.#changes++
  }

  /** Drops the oldest event of the log. */
  drop(topic: string, seq: number): void {
    const list = this.#lists.get(topic)!
    list.dropBelow(seq + 1)
    if (list.size > 0) return
    this.#emptyCount++
    this.#left.push({ topic, seq })
    if (this.#emptyCount > MAX_PAST_TOPICS) this.#forgetOldest()
    if (this.#left.length > 2 * this.#emptyCount + MAX_STALE) this.#dropStale()
  }

  /** Forgets all topics. Call it after all events have been dropped. */
  forget(): void {
    this.#lists.clear()
    this.#tree = undefined
    this.#changes++
    this.#left = []
    this.#firstLeft = 0
    this.#emptyCount = 0
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

  /** Whether an entry of `#left` is current: its topic has had no events since. */
  #isEmpty({ topic, seq }: LeftTopic): boolean {
    const list = this.#lists.get(topic)!
    return list.size === 0 && list.lastDropped === seq
  }

  #forgetOldest(): void {
    while (!this.#isEmpty(this.#left[this.#firstLeft]!)) this.#firstLeft++
    const { topic, seq } = this.#left[this.#firstLeft++]!
    this.#delete(topic)
    this.#emptyCount--
    this.#forgotten = seq
  }

  #delete(topic: string): void {
    this.#lists.delete(topic)
    this.#tree?.delete(topic)
    this.#changes++
  }

  #dropStale(): void {
    this.#left = this.#left.slice(this.#firstLeft).filter((left) => this.#isEmpty(left))
    this.#firstLeft = 0
  }
}

function plant<Value>(topics: Iterable<[string, Value]>): TopicTree<Value> {
  const tree = new TopicTree<Value>()
  for (const [topic, value] of topics) tree.add(topic, value)
  return tree
}
