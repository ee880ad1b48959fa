import type { Test } from 'tap'

export interface Clock {
  advance(ms: number): void
}

/**
 * Stops the clock by which time spans are measured, `performance.now`, until the end of the test. Timers go on, so what
 * is due after half a minute happens at once when the test has advanced by that much, and not before, however slow the
 * machine.
 */
export function stopClock(t: Test): Clock {
  // Whole, so that sums of spans are exact.
  let now = Math.ceil(performance.now())
  t.intercept(performance, 'now', { value: () => now })
  return {
    advance(ms) {
      now += ms
    }
  }
}
