import { SeqList } from './seq-list.js'
import { isWildcard } from './topic.js'
import { TopicTree } from './topic-tree.js'

/** Topics without events of which the last one is remembered. */
const MAX_PAST_TOPICS = 10_000
/** Topics that have left and are back, or forgotten, that may stand in the order of leaving. */
const MAX_STALE = 64

/** A topic that has lost its last event, and the `seq` of that. */
interface LeftTopic {
  readonly topic: string
  readonly seq: number
}

/**
 * Which events of the log have which topic: a list for each topic, with a number for each event. Of topics
 * that have left the log the empty list is kept, which knows the last event, for 10,000 topics: that takes some 200 bytes for
 * each beside its name, and twice as much once patterns are asked for.
 */
export class TopicIndex {
  /** Those of topics with events, and the empty ones. A topic that comes and goes costs no more than one that stays. */
  readonly #lists = new Map<string, SeqList>()
  /** The same lists, for patterns. Made when the first pattern is asked for: many apps have none. */
  #tree: TopicTree<SeqList> | undefined
  /** Lists that patterns match, by the array of patterns that an audience has, and `#changes` when they were found. */
  readonly #found = new WeakMap<readonly string[], { changes: number; lists: readonly SeqList[] }>()
  /** How often a list has come or gone. */
  #changes = 0
  #emptyCount = 0
  /** The topics of empty lists, in the order in which they left, from `#firstLeft` on. */
  #left: LeftTopic[] = []
  #firstLeft = 0
  #forgotten = 0

  /** Topics that events in the log have. */
  get size(): number {
    return this.#lists.size - this.#emptyCount
  }

  /** `seq` of the newest event that has been dropped and forgotten; 0 where there is none. */
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

  /** All events have been dropped: forgets their topics. */
  forget(): void {
    this.#lists.clear()
    this.#tree = undefined
    this.#changes++
    this.#left = []
    this.#firstLeft = 0
    this.#emptyCount = 0
    this.#forgotten = 0
  }

  /** Whether events of some of the patterns have been dropped that follow a cursor. */
  hasDropped(patterns: readonly string[], cursor: number): boolean {
    return this.listsOf(patterns).some(({ lastDropped }) => lastDropped > cursor)
  }

  /**
   * The lists of the topics that some of the patterns match, each once; empty ones, too.
   *
   * @param patterns topics and patterns; the answer is kept while this array is, and no list has come or gone
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

  /** Whether a topic that has left is not back, and has not left again, since. */
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
