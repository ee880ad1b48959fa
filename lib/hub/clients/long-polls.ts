// Long polls: requests for a JSON page (`?wait=`) that wait for an event. The page itself is in routes/page.ts.

import type { Audience, Listener } from '../../log/audience.js'
import type { Request, Response } from '../../wire/response.js'
import { untilGone } from '../../wire/response-end.js'

/** The requests that wait for an event now. */
export class LongPolls {
  readonly #waiting = new Map<Listener, Audience>()

  /** Number of requests that wait. */
  get size(): number {
    return this.#waiting.size
  }

  /** Ends all waits. */
  wakeAll(): void {
    for (const wake of this.#waiting.keys()) wake()
  }

  /** Ends the waits for an event without a topic. */
  wakeTopicless(): void {
    for (const [wake, { hearsTopicless }] of this.#waiting) if (hearsTopicless) wake()
  }

  /**
   * Resolves on the next event for an audience, after `ms`, or when the client has gone.
   *
   * @param look returns what the promise resolves with. Called at that very moment, since more events may follow
   *   before the promise is handled
   */
  wait<Found>(audience: Audience, ms: number, req: Request, res: Response, look: () => Found): Promise<Found> {
    return new Promise((resolve) => {
      // Removed at once, so that the rest of a burst does not wake it again.
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
