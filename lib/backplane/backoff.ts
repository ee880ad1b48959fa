// Waits between attempts at something that fails, in this room: the pauses double up to a bound, and hold no process.
import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for `ms`, or until the signal aborts. The timer does not keep the process alive. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { ref: false, signal }).catch(() => {})
}

/** The pauses between attempts. */
export class Backoff {
  readonly #first: number
  readonly #longest: number
  #next: number

  /**
   * @param first the pause after the first failure, ms
   * @param longest the longest pause, ms
   */
  constructor(first: number, longest: number) {
    this.#first = first
    this.#longest = longest
    this.#next = first
  }

  /** After a success: the next pause is the first one again. */
  reset(): void {
    this.#next = this.#first
  }

  /** Waits for the next pause, which is twice as long as the one before, or until the signal aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    const ms = this.#next
    this.#next = Math.min(ms * 2, this.#longest)
    await pause(ms, signal)
  }
}
