/** A word of topics. Its children are the words that follow it; it has a value where a topic ends with it. */
interface Node<Value> {
  readonly word: string
  readonly parent: Node<Value> | undefined
  readonly children: Map<string, Node<Value>>
  value: Value | undefined
}

/**
 * Topics by their words, so that those a pattern matches are found without a look at the others: a search costs as much
 * as the topics that it finds, and the words that `*` stands for. (`qlobber` does the opposite: it finds the patterns that
 * match a topic.)
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

  /** Deletes a topic that the tree holds, and the words that are no other topic's. */
  delete(topic: string): void {
    let node = this.#root
    for (const word of topic.split('.')) node = node.children.get(word)!
    node.value = undefined
    while (node.parent !== undefined && node.value === undefined && node.children.size === 0) {
      node.parent.children.delete(node.word)
      node = node.parent
    }
  }

  /** The values of the topics that a pattern matches, each once. */
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
