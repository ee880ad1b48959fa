// The latency of events.

import { createHistogram } from 'node:perf_hooks'

const LONGEST = 3_600_000_000

/** Histograms of latency: from when events were due, and from when they were broadcast. */
export class Latency {
  #due = createHistogram({ lowest: 1, highest: LONGEST, figures: 3 })
  #broadcast = createHistogram({ lowest: 1, highest: LONGEST, figures: 3 })

  /** All times in µs on the clock of machine/clock.js. */
  take(time, due, at) {
    this.#due.record(Math.max(1, Math.round(time - due)))
    this.#broadcast.record(Math.max(1, Math.round(time - at)))
  }

  reset() {
    this.#due.reset()
    this.#broadcast.reset()
  }

  /** In ms. */
  report() {
    return { due: summary(this.#due), broadcast: summary(this.#broadcast) }
  }
}

function summary(histogram) {
  if (histogram.count === 0) return undefined
  const { max } = histogram
  return { p50: histogram.percentile(50) / 1e3, p99: histogram.percentile(99) / 1e3, max: max / 1e3 }
}
