import { SeqList } from './seq-list.js'
import { isWildcard } from './topic.js'
import { TopicTree } from './topic-tree.js'

/**
 * Which events of the log have which topic: a list for each topic, with a number for each event. Nothing stays of topics
 * that have left the log.
 */
export class TopicIndex {
  readonly #lists = new Map<string, SeqList>()
  /** The same lists, for patterns. Made when the first pattern is asked for: many apps have none. */
  #tree: TopicTree<SeqList> | undefined
  /** Lists that patterns match, by the array of patterns that an audience has, and `#changes` when they were found. */
  readonly #found = new WeakMap<readonly string[], { changes: number; lists: readonly SeqList[] }>()
  /** How often a topic has come or gone. */
  #changes = 0

  /** Topics that events in the log have. */
  get size(): number {
    return this.#lists.size
  }

  /** Adds the newest event of the log. */
  add(topic: string, seq: number): void {
    const list = this.#lists.get(topic)
    if (list !== undefined) {
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
    this.#lists.delete(topic)
    this.#tree?.delete(topic)
    this.#changes++
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
    this.#tree ??= this.#plant()
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

  #plant(): TopicTree<SeqList> {
    const tree = new TopicTree<SeqList>()
    for (const [topic, list] of this.#lists) tree.add(topic, list)
    return tree
  }
}
