// A clock for tests, which goes on only when they say so.

import type { Test } from 'tap'

export interface Clock {
  advance(ms: number): void
}

const realNow = performance.now.bind(performance)
let isStopped = false

/** Lets the clock go on: an app that closes measures how long that takes. */
export function resumeClock(): void {
  isStopped = false
}

/**
 * Stops the clock by which time spans are measured, `performance.now`, until the end of the test. Timers go on, so what
 * is due after half a minute happens at once when the test has advanced by that much, and not before, however slow the
 * machine.
 */
export function stopClock(t: Test): Clock {
  // Whole, so that sums of spans are exact.
  let now = Math.ceil(performance.now())
  isStopped = true
  t.intercept(performance, 'now', { value: () => (isStopped ? now : realNow()) })
  return {
    advance(ms) {
      now += ms
    }
  }
}
