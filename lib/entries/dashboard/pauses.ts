import type { ObservedClient } from './snapshot.js'

/** Clients that are paused, each for a time: nobody is forgotten when the page is closed. */
export class Pauses {
  readonly #time: number
  readonly #timers = new Map<ObservedClient, NodeJS.Timeout>()

  /** @param time of a pause, ms */
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
