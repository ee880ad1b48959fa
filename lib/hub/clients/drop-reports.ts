/** Least time between two warnings, ms. */
const INTERVAL = 10_000

/** Says in the log that clients missed events, not more often than someone would read it. */
export class DropReports {
  readonly #warn: (dropped: number) => void
  #untold = 0
  #lastWarning = Number.NEGATIVE_INFINITY

  constructor(warn: (dropped: number) => void) {
    this.#warn = warn
  }

  add(events: number): void {
    // Never amid a flush: a logger is the app's code, and may broadcast.
    if (this.#untold === 0) queueMicrotask(() => this.tell(performance.now()))
    this.#untold += events
  }

  /** Tells what has not been told, when it is time. */
  tell(now: number): void {
    if (this.#untold === 0 || now - this.#lastWarning < INTERVAL) return
    this.#warn(this.#untold)
    this.#untold = 0
    this.#lastWarning = now
  }
}
