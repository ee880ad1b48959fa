// The warning in the app's log that slow clients have lost events. Which events they lose is decided in log/cursor.ts.

/** Minimum time between two warnings, ms. */
const INTERVAL = 10_000

/** Counts events that slow clients have lost and logs their number, at most once per INTERVAL. */
export class DropReports {
  readonly #warn: (dropped: number) => void
  #untold = 0
  #lastWarning = Number.NEGATIVE_INFINITY

  constructor(warn: (dropped: number) => void) {
    this.#warn = warn
  }

  add(events: number): void {
    // In a microtask: a logger is code of the app and may broadcast, which must not happen during a flush.
    if (this.#untold === 0) queueMicrotask(() => this.tell(performance.now()))
    this.#untold += events
  }

  /** Logs what has not been logged, if INTERVAL has passed. */
  tell(now: number): void {
    if (this.#untold === 0 || now - this.#lastWarning < INTERVAL) return
    this.#warn(this.#untold)
    this.#untold = 0
    this.#lastWarning = now
  }
}
