// Regular visits to all clients, for keepalives, stall timeouts and the maximum age. What a visit does is
// `Connection.tend` (connection.ts).

import type { CareLimits } from './client-context.js'
import type { Shard } from './shard.js'

/** Maximum number of turns that a round over all clients is spread over. */
const PHASES = 32

/** Number of visits that each client gets within the shortest of the limits. */
const VISITS = 8
/** The shortest and the longest time between two turns, ms. */
const MIN_TICK = 5
const MAX_TICK = 1000

/** Visits all clients regularly, a fraction of them at a time. */
export class Housekeeping {
  readonly #shards: readonly Shard[]
  readonly #limits: CareLimits
  readonly #afterTurn: (now: number) => void
  #timer: NodeJS.Timeout | undefined
  #phase = 0
  /** When the last turn was, ms of `performance.now()`. */
  #turnedAt = 0

  constructor(shards: readonly Shard[], limits: CareLimits, afterTurn: (now: number) => void) {
    this.#shards = shards
    this.#limits = limits
    this.#afterTurn = afterTurn
  }

  start(): void {
    const { keepAliveInterval, stallTimeout, maxConnectionAge } = this.#limits
    const shortest = Math.min(keepAliveInterval, stallTimeout, maxConnectionAge)
    if (shortest === Number.POSITIVE_INFINITY) return
    const tick = Math.min(MAX_TICK, Math.max(MIN_TICK, shortest / VISITS / PHASES))
    // A round is spread over turns, so that thousands of keepalives do not fall into one. With short limits a turn
    // cannot be as short as that needs, so a round then has fewer turns.
    const phases = Math.max(1, Math.min(PHASES, Math.floor(shortest / VISITS / tick)))
    this.#turnedAt = performance.now()
    this.#timer = setInterval(() => this.#turn(phases), tick)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #turn(phases: number): void {
    const now = performance.now()
    const limits = this.#limitsAt(now)
    for (const shard of this.#shards) shard.tend(now, this.#phase, phases, limits)
    this.#turnedAt = now
    this.#phase = (this.#phase + 1) % phases
    this.#afterTurn(now)
  }

  /** A process that stood still does not know yet what its clients have taken meanwhile: it cuts none of them in its first turn. */
  #limitsAt(now: number): CareLimits {
    const { stallTimeout } = this.#limits
    if (now - this.#turnedAt <= Math.max(stallTimeout / VISITS, MAX_TICK)) return this.#limits
    return { ...this.#limits, stallTimeout: Number.POSITIVE_INFINITY }
  }
}
