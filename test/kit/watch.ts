import { deferred } from './deferred.js'
import { PATIENCE, withTimeout } from './patience.js'

/** State that changes, and the promises that wait on it: every awaitable of the kit is a look at such state. */
export class Watch {
  readonly #looks = new Set<() => void>()
  readonly #describe: () => string
  #isDue = false

  /** `describe` says what has been seen so far, for the error of a wait that came to nothing. */
  constructor(describe: () => string) {
    this.#describe = describe
  }

  /**
   * To be called after each change. Waits look in the order they began, so that two `next()` get two events, and only
   * once all that came in one packet is there: nobody is satisfied by its first bytes when the last are foreign.
   */
  changed(): void {
    if (this.#isDue) return
    this.#isDue = true
    queueMicrotask(() => {
      this.#isDue = false
      for (const look of this.#looks) look()
    })
  }

  /**
   * Resolves with what `look` finds, now or after a later change. A `look` that throws ends the wait at once: the way
   * to say that what is awaited can no longer come.
   */
  until<T>(look: () => T | undefined, what: string, ms: number = PATIENCE): Promise<T> {
    const { promise, resolve, reject } = deferred<T>()
    const attempt = () => {
      try {
        const found = look()
        if (found === undefined) return
        resolve(found)
      } catch (error) {
        reject(error)
      }
      this.#looks.delete(attempt)
    }
    this.#looks.add(attempt)
    this.changed()
    return withTimeout(promise, what, ms, this.#describe).finally(() => this.#looks.delete(attempt))
  }
}
