// The timer that notices that a connection has gone silent.

import { NEVER } from './backoff.js'

/** Calls back when nothing has come for too long. */
export class Watchdog {
  /** The longest silence that is allowed, ms. */
  patience = 0
  readonly #onSilence: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  /** When the last byte came, ms since 1970. The monotonic clock may stand still while a machine sleeps. */
  #byteAt = 0

  constructor(onSilence: () => void) {
    this.#onSilence = onSilence
  }

  /** How much of the allowed silence is left, ms. */
  get left(): number {
    return this.#byteAt + this.patience - Date.now()
  }

  /** Starts to watch. @param ms the longest silence that is allowed */
  watch(ms = this.patience): void {
    this.stop()
    this.patience = ms
    this.feed()
    if (ms < NEVER) this.#timer = setTimeout(this.#look, ms)
  }

  /** Bytes have come. */
  feed(): void {
    this.#byteAt = Date.now()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  readonly #look = (): void => {
    const { left } = this
    if (left > 0) this.#timer = setTimeout(this.#look, left)
    else this.#onSilence()
  }
}
