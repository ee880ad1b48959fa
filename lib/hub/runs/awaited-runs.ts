// Requests for a run that another process may have announced, and this one has not heard of yet.

/** Time that a request waits for a run to be announced, ms. */
const PATIENCE = 2000

/** Requests that wait until this process hears of a run on another one. */
export class AwaitedRuns {
  readonly #looks = new Set<() => void>()

  /** Resolves once `isKnown` is true when `look` is called, or after two seconds. */
  until(isKnown: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer)
        this.#looks.delete(look)
        resolve()
      }
      const look = () => {
        if (isKnown()) finish()
      }
      const timer = setTimeout(finish, PATIENCE)
      timer.unref()
      this.#looks.add(look)
    })
  }

  /** Ends the waits whose condition holds now. */
  look(): void {
    for (const look of this.#looks) look()
  }
}
