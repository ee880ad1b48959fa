// The topics that an app wants to receive. What the server has subscribed the client to is in subscriptions.ts.

/**
 * The topics and patterns of a connection: a Set. When you change it, the client reconnects and resumes after its last event, or calls
 * `changeTopics`. Changes of the same turn are one request.
 */
export class SseTopics extends Set<string> {
  readonly #onChange: () => void

  constructor(topics: Iterable<string>, onChange: () => void) {
    super()
    // The method of Set, since `add` below calls `onChange`.
    for (const topic of topics) super.add(topic)
    this.#onChange = onChange
  }

  override add(topic: string): this {
    if (!this.has(topic)) {
      super.add(topic)
      this.#onChange()
    }
    return this
  }

  override delete(topic: string): boolean {
    const isThere = super.delete(topic)
    if (isThere) this.#onChange()
    return isThere
  }

  override clear(): void {
    super.clear()
    this.#onChange()
  }
}
