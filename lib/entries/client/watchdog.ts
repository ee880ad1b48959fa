import { NEVER } from './backoff.js'

/** Notices that nothing comes for too long. */
export class Watchdog {
  /** How long it may be silent, ms. */
  patience = 0
  readonly #onSilence: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  /** When the last byte came, ms since 1970: what measures time otherwise may stand still while a machine sleeps. */
  #byteAt = 0

  constructor(onSilence: () => void) {
    this.#onSilence = onSilence
  }

  /** How much longer it may be silent, ms. */
  get left(): number {
    return this.#byteAt + this.patience - Date.now()
  }

  /** Calls for an end of the silence after so many ms. */
  watch(ms = this.patience): void {
    this.stop()
    this.patience = ms
    this.feed()
    if (ms < NEVER) this.#timer = setTimeout(this.#look, ms)
  }

  /** Something has come. */
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
