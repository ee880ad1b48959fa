import type { Audience, Listener } from '../../log/audience.js'
import type { Request, Response } from '../../wire/response.js'
import { untilGone } from '../../wire/response-end.js'

/** The requests that wait for an event. */
export class LongPolls {
  readonly #waiting = new Map<Listener, Audience>()

  /** Requests that wait now. */
  get size(): number {
    return this.#waiting.size
  }

  /** There is nothing more to wait for. */
  wakeAll(): void {
    for (const wake of this.#waiting.keys()) wake()
  }

  /** There is an event without a topic. */
  wakeCommon(): void {
    for (const [wake, { hearsCommon }] of this.#waiting) if (hearsCommon) wake()
  }

  /**
   * Resolves with the next event for an audience, after `ms`, or when the client has gone.
   *
   * @param look what it resolves with, at that moment: a burst may follow the event at once
   */
  wait<Found>(audience: Audience, ms: number, req: Request, res: Response, look: () => Found): Promise<Found> {
    return new Promise((resolve) => {
      // It waits no longer from that moment on: the rest of the burst is not told to it.
      const wake = () => {
        clearTimeout(timer)
        forget()
        this.#waiting.delete(wake)
        audience.off(wake)
        resolve(look())
      }
      const timer = setTimeout(wake, ms)
      timer.unref()
      const forget = untilGone(req, res, wake)
      this.#waiting.set(wake, audience)
      audience.once(wake)
    })
  }
}
