/**
 * The topics and patterns that a connection hears, a Set. When it changes, the client connects anew from where it is, so that
 * it misses nothing; several changes in a row take one request.
 */
export class SseTopics extends Set<string> {
  readonly #onChange: () => void

  constructor(topics: Iterable<string>, onChange: () => void) {
    super()
    // By the method that tells nobody.
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
