import type { ResyncReason } from '../../api/errors.js'

/** What a client must be told before it reads on. */
export interface Resync {
  readonly reason: ResyncReason
  /** Events lost; null where nobody can say. */
  missed: number | null
}

/** The events that one client has lost: each is counted once, and all of them are told in one resync. */
export class PendingResync {
  readonly #count: (events: number) => void
  #untold: Resync | undefined
  /** Events counted as lost while its socket is full; which they are shows when it drains. */
  #expected = 0

  /** @param count called with every loss */
  constructor(count: (events: number) => void, untold?: Resync | undefined) {
    this.#count = count
    this.#untold = untold
  }

  /** What it has yet to be told. */
  get untold(): Resync | undefined {
    return this.#untold
  }

  /** So many events will be lost by now. @returns whether they are more than before */
  expect(events: number): boolean {
    if (events <= this.#expected) return false
    this.#count(events - this.#expected)
    this.#expected = events
    return true
  }

  /** So many events are lost after all. @returns whether there are any */
  confirm(events: number): boolean {
    const unforeseen = events - this.#expected
    this.#expected = 0
    if (events === 0) return false
    if (unforeseen > 0) this.#count(unforeseen)
    this.#note(events)
    return true
  }

  /** These are lost, too. */
  add(events: number): void {
    this.#count(events)
    this.#note(events)
  }

  /** Nobody knows what it has lost: that is told instead of all else. */
  replace(resync: Resync): void {
    this.#expected = 0
    this.#untold = resync
  }

  #note(events: number): void {
    if (this.#untold === undefined) this.#untold = { reason: 'overflow', missed: events }
    else if (this.#untold.missed !== null) this.#untold.missed += events
  }
}
