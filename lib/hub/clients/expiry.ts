// `client.expiresAt`: a timer for a date, which may be further away than a timer of Node can reach.

import { InvalidOptionError } from '../../api/errors.js'
import { MAX_DELAY } from '../../api/input/checks.js'

/** Calls back at a date, however far away that is. */
export class Expiry {
  readonly #onExpiry: () => void
  #date: Date | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(onExpiry: () => void) {
    this.#onExpiry = onExpiry
  }

  get date(): Date | undefined {
    return this.#date
  }

  /** @throws InvalidOptionError if it is not a valid date */
  set date(date: Date | undefined) {
    if (date !== undefined && (!(date instanceof Date) || Number.isNaN(date.getTime()))) {
      throw new InvalidOptionError('client.expiresAt', String(date), 'a valid Date, or undefined')
    }
    this.stop()
    this.#date = date
    if (date !== undefined) this.#await(date.getTime())
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #await(time: number): void {
    const left = time - Date.now()
    if (left <= 0) {
      this.#onExpiry()
      return
    }
    this.#timer = setTimeout(() => this.#await(time), Math.min(left, MAX_DELAY))
    this.#timer.unref()
  }
}
