interface Ack {
  readonly messageId: string
  /** The place that the engine gave the message. */
  readonly cursor: string
  /** When it was acknowledged, ms on the clock of `performance.now()`. */
  readonly at: number
}

/** Between two losses that are found by what this process has published, ms: an engine may lose one event after another. */
const PAUSE = 1000

/**
 * What the engine has acknowledged to this process, and this process has yet to read. What was acknowledged by a server
 * that was replaced, and was neither read nor replicated before, is known here alone.
 */
export class UnreadAcks {
  /** By message ids, in the order in which they were published. */
  readonly #acks = new Map<string, Ack>()
  readonly #compare: (a: string, b: string) => number | undefined
  #foundAt = Number.NEGATIVE_INFINITY

  /** @param compare as `Backplane.compare` */
  constructor(compare: (a: string, b: string) => number | undefined) {
    this.#compare = compare
  }

  add(messageId: string, cursor: string): void {
    this.#acks.set(messageId, { messageId, cursor, at: performance.now() })
  }

  clear(): void {
    this.#acks.clear()
  }

  /**
   * Takes note of what is read, in the engine's order: what was acknowledged at a place before the last of it must be
   * among it, or have been before.
   *
   * @returns how long ago the first that is missing was acknowledged, ms; nothing where none is
   */
  read(entries: readonly { readonly messageId: string; readonly cursor: string }[]): number | undefined {
    const newest = entries.at(-1)
    if (this.#acks.size === 0 || newest === undefined) return undefined
    for (const { messageId } of entries) this.#acks.delete(messageId)
    const now = performance.now()
    if (now - this.#foundAt < PAUSE) return undefined
    let missingFor: number | undefined
    for (const ack of this.#acks.values()) {
      const order = this.#compare(ack.cursor, newest.cursor)
      if (order !== undefined && order > 0) break
      this.#acks.delete(ack.messageId)
      // Of a stream that was replaced a gap has told.
      if (order !== undefined) missingFor ??= now - ack.at
    }
    if (missingFor !== undefined) this.#foundAt = now
    return missingFor
  }
}
