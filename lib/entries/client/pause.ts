// The pause before another attempt: how long it is, and what ends it early.

import { backoff, MAX_DELAY, NEVER } from './backoff.js'

/** The pauses between attempts of the same kind, one at a time. */
export class Pause {
  /** What a pause takes at least, ms: the reconnection time of a stream (WHATWG HTML 9.2.2). */
  least: number
  /** Failures since the last success. Each doubles the random part of the pause. */
  failures = 0
  /** Ends the current pause. Undefined if there is none. */
  end: (() => void) | undefined
  readonly #most: number

  constructor(least = 1000, most = 30_000) {
    this.least = least
    this.#most = most
  }

  /** @returns how long the pause after another failure is, ms */
  next(): number {
    return backoff(this.least, this.failures++, this.#most)
  }

  /** Resolves after so many ms, at most `MAX_DELAY`, or when the pause is ended. With `NEVER` only then. */
  take(ms: number): Promise<void> {
    return new Promise((resolve) => {
      // Not unref'd: a Node process that waits for events goes on.
      const timer = ms < NEVER ? setTimeout(() => this.end!(), Math.min(ms, MAX_DELAY)) : undefined
      this.end = () => {
        clearTimeout(timer)
        this.end = undefined
        resolve()
      }
    })
  }
}
