import type { Socket } from 'node:net'
import type { Audience, Cohort } from './audience.js'
import { offConnectionClose, onConnectionClose } from './connection-close.js'

/** A request that waits for the first event of its audience. */
class Waiter implements Cohort {
  /** Never: what it waits for it reads from the log. */
  readonly isTouched = false
  readonly #wake: () => void

  constructor(wake: () => void) {
    this.#wake = wake
  }

  touch(): void {
    this.#wake()
  }
}

/** The requests that wait for an event. */
export class Waiters {
  readonly #waiters = new Set<Waiter>()

  /** Requests that wait now. */
  get size(): number {
    return this.#waiters.size
  }

  /** There is an event for everyone, or nothing more to wait for. */
  wakeAll(): void {
    for (const waiter of this.#waiters) waiter.touch()
  }

  /**
   * Resolves with the next event for an audience, after `ms`, or when the connection closes.
   *
   * @param look what it resolves with, at that moment: a burst may follow the event at once
   */
  async wait<Found>(audience: Audience, ms: number, connection: Socket, look: () => Found): Promise<Found> {
    let timer: NodeJS.Timeout | undefined
    let wake!: () => void
    const woken = new Promise<Found>((resolve) => {
      wake = () => resolve(look())
      timer = setTimeout(wake, ms)
      timer.unref()
      onConnectionClose(connection, wake)
    })
    const waiter = new Waiter(wake)
    this.#waiters.add(waiter)
    audience.join(waiter)
    const found = await woken
    clearTimeout(timer)
    offConnectionClose(connection, wake)
    this.#waiters.delete(waiter)
    audience.leave(waiter)
    return found
  }
}
