// Clients that wait until this process has read the engine's log up to their cursor. What is read is decided in
// mirror.ts.

/** Time that a client which comes from another process waits until this process has read as far, ms. */
const CATCH_UP = 2000

/** The waits of clients for this process to read on. */
export class ReadWaits {
  /** Whether the log has yet to reach a cursor, and may still do so. */
  readonly #isAhead: (cursor: string) => boolean
  readonly #waiting = new Set<() => void>()

  constructor(isAhead: (cursor: string) => boolean) {
    this.#isAhead = isAhead
  }

  /**
   * Waits until this process has read as far as a cursor, 2000 ms at most.
   *
   * @returns undefined if it has already
   */
  await(cursor: string): Promise<void> | undefined {
    if (!this.#isAhead(cursor)) return undefined
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      const look = () => {
        if (!this.#isAhead(cursor)) finish()
      }
      const timer = setTimeout(finish, CATCH_UP)
      timer.unref()
      this.#waiting.add(look)
    })
  }

  /** Call it when this process has read on, or reads no more. */
  check(): void {
    for (const look of this.#waiting) look()
  }
}
