// The losses of one client that it has yet to be told of by a `resync` event.

import type { ResyncReason } from '../../api/errors.js'

/** A `resync` that a client must get before it reads on. */
export interface Resync {
  readonly reason: ResyncReason
  /** Number of events lost; null if it is not known. */
  missed: number | null
}

/** The events that one client has lost. Each is counted once, and one `resync` tells of all of them. */
export class PendingResync {
  readonly #count: (events: number) => void
  #untold: Resync | undefined
  /** Number of events counted as lost while its socket is full. Which ones they are is known when it drains. */
  #expected = 0

  /** @param count called with the number of events of each loss */
  constructor(count: (events: number) => void, untold?: Resync | undefined) {
    this.#count = count
    this.#untold = untold
  }

  /** The `resync` that it has yet to be sent. */
  get untold(): Resync | undefined {
    return this.#untold
  }

  /** Counts events that will be lost once the client reads on. @returns whether they are more than before */
  expect(events: number): boolean {
    if (events <= this.#expected) return false
    this.#count(events - this.#expected)
    this.#expected = events
    return true
  }

  /** Counts events that have been lost, which includes those expected. @returns whether there are any */
  confirm(events: number): boolean {
    const unforeseen = events - this.#expected
    this.#expected = 0
    if (events === 0) return false
    if (unforeseen > 0) this.#count(unforeseen)
    this.#note(events)
    return true
  }

  /** Counts further events that have been lost. */
  add(events: number): void {
    this.#count(events)
    this.#note(events)
  }

  /** Replaces what was noted so far: what the client has lost is not known. */
  replace(resync: Resync): void {
    this.#expected = 0
    this.#untold = resync
  }

  #note(events: number): void {
    if (this.#untold === undefined) this.#untold = { reason: 'overflow', missed: events }
    else if (this.#untold.missed !== null) this.#untold.missed += events
  }
}
