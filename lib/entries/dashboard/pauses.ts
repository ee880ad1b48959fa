// The clients that the dashboard has paused.

import type { ObservedClient } from './snapshot.js'

/** Pauses clients, each for a limited time: none stays paused after the page is closed. */
export class Pauses {
  readonly #time: number
  readonly #timers = new Map<ObservedClient, NodeJS.Timeout>()

  /** @param time duration of a pause, ms */
  constructor(time: number) {
    this.#time = time
  }

  pause(client: ObservedClient): void {
    this.#forget(client)
    client.pause()
    const timer = setTimeout(() => this.resume(client), this.#time)
    timer.unref()
    this.#timers.set(client, timer)
  }

  resume(client: ObservedClient): void {
    this.#forget(client)
    client.resume()
  }

  #forget(client: ObservedClient): void {
    clearTimeout(this.#timers.get(client))
    this.#timers.delete(client)
  }
}
