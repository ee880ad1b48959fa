import { now } from './clock.js'

/** How long one turn of the event loop may go on publishing what is late, µs. */
const TURN = 10_000
/** How long after its end a schedule may still be worked off, µs. */
const GRACE = 250_000

/**
 * Publishes on a schedule, whether or not what went before has arrived (an open loop). What is late is published as
 * soon as the event loop comes round, in turns that let it serve I/O between them: a server gets its events from many
 * sources, not from one loop that never yields.
 *
 * @param {{ rate: number, events: number, first: number }} schedule `rate`: events a second; `first`: when the first
 *   is due, µs on the shared clock
 * @param {(n: number, due: number) => void} publish
 * @returns {Promise<{ published: number, late: number }>} `late`: the longest that one was published after it was due,
 *   ms. Fewer than `events` are published where the schedule was over before.
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
