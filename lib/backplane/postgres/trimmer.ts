// Deletes the oldest events of the log from time to time. Which ones is decided by the function `trim` in log-schema.ts.

import { pause } from '../backoff.js'

/** Maximum number of events deleted in one transaction. Small transactions do not hold up publishers. */
export const TRIM_BATCH = 1000
/** Average pause between two runs, ms. */
const INTERVAL = 10_000

/** Deletes the log's oldest events from time to time, in small transactions. */
export class Trimmer {
  readonly #trim: () => Promise<number>

  /** @param trim deletes up to `TRIM_BATCH` events, and resolves with their number */
  constructor(trim: () => Promise<number>) {
    this.#trim = trim
  }

  /** Trims again and again until the signal aborts. The pauses are random, so that processes do not all trim at once. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(INTERVAL * (0.5 + Math.random()), signal)
      await this.trimAll(signal)
    }
  }

  /** Deletes batches until none is full. Ignores errors: the next run tries again, and the reader reports an unreachable server. */
  async trimAll(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted && (await this.#trim()) >= TRIM_BATCH);
    } catch {}
  }
}
