// Publishes events on a schedule.

import { now } from '../machine/clock.js'

/** Longest time that one turn of the event loop may publish overdue events, µs. */
const TURN = 10_000
/** Time after the schedule's end in which overdue events may still be published, µs. */
const GRACE = 250_000

/**
 * Publishes on a schedule, whether or not earlier events have arrived (an open loop). Overdue events are published in
 * bounded turns of the event loop, with I/O between them: a server gets its events from many sources, not from one loop that
 * never yields.
 *
 * @param {{ rate: number, events: number, first: number }} schedule `rate`: events a second; `first`: when the first
 *   is due, µs by machine/clock.js
 * @param {(n: number, due: number) => void} publish
 * @returns {Promise<{ published: number, late: number }>} `late`: the longest delay of an event, ms.
 *   `published` is less than `events` if time ran out.
 */
export function pace({ rate, events, first }, publish) {
  const interval = 1e6 / rate
  const deadline = first + events * interval + GRACE
  let n = 0
  let late = 0
  return new Promise((resolve) => {
    turn()

    function turn() {
      const began = now()
      let time = began
      let due = first + n * interval
      while (n < events && due <= time && time - began < TURN && time < deadline) {
        late = Math.max(late, time - due)
        publish(n, due)
        n++
        due = first + n * interval
        time = now()
      }
      if (n === events || time >= deadline) resolve({ published: n, late: late / 1e3 })
      else if (due <= time) setImmediate(turn)
      else setTimeout(turn, (due - time) / 1e3)
    }
  })
}
