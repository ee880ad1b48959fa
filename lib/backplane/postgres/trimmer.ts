import { pause } from '../backoff.js'

/** Events that go at once: a small transaction, which holds up nobody. */
export const TRIM_BATCH = 1000
/** Between two looks for events to delete, ms, about. */
const INTERVAL = 10_000

/** Deletes the log's oldest events from time to time, in small transactions. */
export class Trimmer {
  readonly #trim: () => Promise<number>

  /** @param trim deletes up to `TRIM_BATCH` events, and tells how many */
  constructor(trim: () => Promise<number>) {
    this.#trim = trim
  }

  /** Goes on until it is told to stop. Processes that start at once come at different times. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(INTERVAL * (0.5 + Math.random()), signal)
      await this.trimAll(signal)
    }
  }

  /** What cannot be deleted now is the next time's: what reads the log tells of a server that is out of reach. */
  async trimAll(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted && (await this.#trim()) >= TRIM_BATCH);
    } catch {}
  }
}
