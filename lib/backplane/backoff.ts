// Pauses: between attempts at something that fails, and before a large history is loaded. They do not keep the process alive.

import { setTimeout as sleep } from 'node:timers/promises'

/** The longest pause before a large history is loaded, ms. */
const LONGEST_LOADING_PAUSE = 1000
/** Size of a large history, bytes. */
const LARGE = 1024 * 1024

/** Waits for `ms`, or until a signal aborts. The timer does not keep the process alive. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { ref: false, signal }).catch(() => {})
}

/**
 * Waits for a random time if there is a large history to load, so that processes which start or find a gap at the same time do not
 * load it at the same time.
 *
 * @param bytes about how many there are to load
 */
export async function pauseBeforeLoading(bytes: number): Promise<void> {
  if (bytes > LARGE) await pause(Math.random() * LONGEST_LOADING_PAUSE)
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
