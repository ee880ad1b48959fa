// When to try again.

const FIRST_DELAY = 1000
const LONGEST_DELAY = 30_000

/**
 * A timer whose delay doubles with every failure, up to 30 s. With jitter: when a server comes back, its clients should not
 * all return at the same instant.
 */
export class Backoff {
  #failures = 0
  #timer

  /** Runs `work` after the next delay, instead of what was scheduled before. */
  schedule(work) {
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures)
    this.#failures += 1
    this.cancel()
    this.#timer = setTimeout(work, longest * (0.5 + Math.random() / 2))
  }

  cancel() {
    clearTimeout(this.#timer)
  }

  /** The next delay is the first one again. */
  reset() {
    this.#failures = 0
  }
}
