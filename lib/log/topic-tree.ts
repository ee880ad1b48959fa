// A tree of topics, which finds those that match a pattern. The opposite, the patterns that match a topic, is found by
// qlobber in audience.ts.

/** One word of a topic. Its children are the words that follow; it has a value if a topic ends here. */
interface Node<Value> {
  readonly word: string
  readonly parent: Node<Value> | undefined
  readonly children: Map<string, Node<Value>>
  value: Value | undefined
}

/**
 * Topics by their words. The cost of a search depends on the topics that it finds and the words that `*` stands for,
 * not on the number of topics.
 */
export class TopicTree<Value> {
  readonly #root: Node<Value> = { word: '', parent: undefined, children: new Map(), value: undefined }

  /** Adds a topic that the tree does not hold. */
  add(topic: string, value: Value): void {
    let node = this.#root
    for (const word of topic.split('.')) {
      let child = node.children.get(word)
      if (child === undefined) {
        child = { word, parent: node, children: new Map(), value: undefined }
        node.children.set(word, child)
      }
      node = child
    }
    node.value = value
  }

  /** Deletes a topic that the tree holds, and the words that no other topic has. */
  delete(topic: string): void {
    let node = this.#root
    for (const word of topic.split('.')) node = node.children.get(word)!
    node.value = undefined
    while (node.parent !== undefined && node.value === undefined && node.children.size === 0) {
      node.parent.children.delete(node.word)
      node = node.parent
    }
  }

  /** Returns the values of the topics that match a pattern, each once. */
  match(pattern: string): Value[] {
    const words = pattern.split('.')
    const found: Value[] = []
    const open: [Node<Value>, number][] = [[this.#root, 0]]
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const [node, depth] = next
      const word = words[depth]
      const isRest = word === '**'
      if ((word === undefined || isRest) && node.value !== undefined) found.push(node.value)
      if (word === undefined) continue
      if (isRest || word === '*') {
        for (const child of node.children.values()) open.push([child, isRest ? depth : depth + 1])
      } else {
        const child = node.children.get(word)
        if (child !== undefined) open.push([child, depth + 1])
      }
    }
    return found
  }
}
