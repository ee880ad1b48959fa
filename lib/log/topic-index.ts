import { SeqList } from './seq-list.js'
import { isWildcard } from './topic.js'
import { TopicTree } from './topic-tree.js'

/** Topics without events of which the last one is remembered. */
const MAX_PAST_TOPICS = 10_000

/**
 * Which events of the log have which topic: a list for each topic, with a number for each event. Of topics
 * that have left the log the last event is remembered, for 10,000 topics: that takes some 100 bytes for each beside its
 * name, and three times as much once patterns are asked for.
 */
export class TopicIndex {
  readonly #lists = new Map<string, SeqList>()
  /** The same lists, for patterns. Made when the first pattern is asked for: many apps have none. */
  #tree: TopicTree<SeqList> | undefined
  /** Lists that patterns match, by the array of patterns that an audience has, and `#changes` when they were found. */
  readonly #found = new WeakMap<readonly string[], { changes: number; lists: readonly SeqList[] }>()
  /** How often a topic has come or gone. */
  #changes = 0
  /** The last event of topics that have left the log, those that left first being first. */
  readonly #past = new Map<string, number>()
  /** The same, for patterns. Made when it is asked for. */
  #pastTree: TopicTree<number> | undefined
  #forgotten = 0

  /** Topics that events in the log have. */
  get size(): number {
    return this.#lists.size
  }

  /** `seq` of the newest event that has been dropped and forgotten; 0 where there is none. */
  get forgotten(): number {
    return this.#forgotten
  }

  /** Adds the newest event of the log. */
  add(topic: string, seq: number): void {
    const list = this.#lists.get(topic)
    if (list !== undefined) {
      list.push(seq)
      return
    }
    const first = new SeqList([seq])
    first.lastDropped = this.#recall(topic)
    this.#lists.set(topic, first)
    this.#tree?.add(topic, first)
    this.#changes++
  }

  /** Drops the oldest event of the log. */
  drop(topic: string, seq: number): void {
    const list = this.#lists.get(topic)!
    list.dropBelow(seq + 1)
    if (list.size > 0) return
    this.#lists.delete(topic)
    this.#tree?.delete(topic)
    this.#changes++
    this.#remember(topic, seq)
  }

  /** Forgets the topics that have left the log. */
  forget(): void {
    this.#past.clear()
    this.#pastTree = undefined
    this.#forgotten = 0
  }

  /** Whether events of some of the patterns have been dropped that follow a cursor. */
  hasDropped(patterns: readonly string[], cursor: number): boolean {
    if (this.listsOf(patterns).some(({ lastDropped }) => lastDropped > cursor)) return true
    return patterns.some((pattern) => {
      if (!isWildcard(pattern)) return (this.#past.get(pattern) ?? 0) > cursor
      this.#pastTree ??= plant(this.#past)
      return this.#pastTree.match(pattern).some((seq) => seq > cursor)
    })
  }

  /**
   * The lists of the topics that some of the patterns match, each once.
   *
   * @param patterns topics and patterns; the answer is kept while this array is, and no topic has come or gone
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

  #remember(topic: string, seq: number): void {
    this.#past.set(topic, seq)
    this.#pastTree?.add(topic, seq)
    if (this.#past.size <= MAX_PAST_TOPICS) return
    this.#forgotten = this.#recall(this.#past.keys().next().value!)
  }

  /** The last event of a topic that has left the log, which is remembered no longer; 0 where there is none. */
  #recall(topic: string): number {
    const seq = this.#past.get(topic)
    if (seq === undefined) return 0
    this.#past.delete(topic)
    this.#pastTree?.delete(topic)
    return seq
  }
}

function plant<Value>(topics: Iterable<[string, Value]>): TopicTree<Value> {
  const tree = new TopicTree<Value>()
  for (const [topic, value] of topics) tree.add(topic, value)
  return tree
}
