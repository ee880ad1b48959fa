// Messages that the engine has acknowledged and this process has not read yet: if they are missing from the log, the engine has
// lost them.

interface Ack {
  readonly messageId: string
  /** The place that the engine gave the message. */
  readonly cursor: string
  /** When it was acknowledged, ms on the clock of `performance.now()`. */
  readonly at: number
}

/** Shortest time between two losses that are found here, ms: an engine may lose one event after another. */
const PAUSE = 1000

/**
 * Messages of this process that the engine has acknowledged and that were not read yet. If the server is replaced by one
 * that does not have them, nothing else can tell that they are lost.
 */
export class UnreadAcks {
  /** By message id, in the order of publishing. */
  readonly #acks = new Map<string, Ack>()
  readonly #compare: (a: string, b: string) => number | undefined
  #foundAt = Number.NEGATIVE_INFINITY

  /** @param compare like `Backplane.compare` */
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
   * Notes entries that were read, in the engine's order. A message that was acknowledged at a place up to the last of them must have
   * been read by now.
   *
   * @returns how long ago the first missing message was acknowledged, ms; undefined if none is missing
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
      // If the stream was replaced, the listener has been told of a gap already.
      if (order !== undefined) missingFor ??= now - ack.at
    }
    if (missingFor !== undefined) this.#foundAt = now
    return missingFor
  }
}
