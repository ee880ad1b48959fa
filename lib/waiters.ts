import type { Socket } from 'node:net'
import type { Audience, Listener } from './audience.js'
import { offConnectionClose, onConnectionClose } from './connection-close.js'

/** The requests that wait for an event. */
export class Waiters {
  readonly #waiters = new Set<Listener>()

  /** Requests that wait now. */
  get size(): number {
    return this.#waiters.size
  }

  /** There is an event for everyone, or nothing more to wait for. */
  wakeAll(): void {
    for (const wake of this.#waiters) wake()
  }

  /**
   * Resolves with the next event for an audience, after `ms`, or when the connection closes.
   *
   * @param look what it resolves with, at that moment: a burst may follow the event at once
   */
  wait<Found>(audience: Audience, ms: number, connection: Socket, look: () => Found): Promise<Found> {
    return new Promise((resolve) => {
      // It waits no longer from that moment on: the rest of the burst is not told to it.
      const wake = () => {
        clearTimeout(timer)
        offConnectionClose(connection, wake)
        this.#waiters.delete(wake)
        audience.off(wake)
        resolve(look())
      }
      const timer = setTimeout(wake, ms)
      timer.unref()
      onConnectionClose(connection, wake)
      this.#waiters.add(wake)
      audience.once(wake)
    })
  }
}
