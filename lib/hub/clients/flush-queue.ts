// The queue of shards that wait to be flushed. The flush itself is in shard.ts.

import type { Diagnostics } from '../../api/diagnostics.js'
import type { Shard } from './shard.js'

/** Number of clients that a turn of the event loop should reach: shards that have few clients to flush share a turn. */
const ENOUGH = 16
/**
 * Up to so many clients per `WINDOW` are flushed at the end of the current operation: a turn of the event loop costs several
 * microseconds, which is much for a single write. More clients wait for a turn, so that their events share a write.
 */
const FEW = 16
/** ms. */
const WINDOW = 1

/** Flushes shards: few clients as soon as the code that broadcasts has returned, many in turns of the event loop, so that I/O is served in between. */
export class FlushQueue {
  /** The shard that waits longest comes first. No shard is in it twice. */
  readonly #shards: Shard[] = []
  #turn: NodeJS.Immediate | undefined
  /** Whether `#flushFew` will be called at the end of the current operation. */
  #isSoon = false
  /** When the current window began, ms of `performance.now()`, and the number of clients that were added in it. */
  #windowStart = 0
  #inWindow = 0
  readonly #diagnostics: Diagnostics
  /** When shards were added, ms of `performance.now()`, if a subscriber of the diagnostics wants to know. */
  readonly #askedAt = new WeakMap<Shard, number>()

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics
  }

  add(shard: Shard): void {
    // It is still in the queue if `hurry` has flushed it.
    if (!this.#shards.includes(shard)) this.#shards.push(shard)
    if (this.#turn === undefined && !this.#isSoon) {
      this.#isSoon = true
      // Not a microtask: events that a chain of promises broadcasts should share a write.
      process.nextTick(this.#flushFew)
    }
    if (this.#diagnostics.takesFlushes) this.#askedAt.set(shard, performance.now())
  }

  /** Whether the queue is empty. */
  get isIdle(): boolean {
    return this.#shards.length === 0
  }

  /**
   * Flushes at once the shards that have not offered their clients the events up to `seq`, which are about to be
   * evicted.
   */
  hurry(seq: number): void {
    const now = performance.now()
    for (const shard of this.#shards) if (shard.offered < seq) this.#flush(shard, now)
  }

  stop(): void {
    this.#shards.length = 0
    clearImmediate(this.#turn)
    this.#turn = undefined
  }

  #flush(shard: Shard, now: number): number {
    if (!this.#diagnostics.takesFlushes) return shard.flush(now)
    const start = performance.now()
    const count = shard.flush(now)
    const end = performance.now()
    this.#diagnostics.flush(count, end - start, end - (this.#askedAt.get(shard) ?? start))
    return count
  }

  readonly #flushFew = (): void => {
    this.#isSoon = false
    const now = performance.now()
    if (now - this.#windowStart >= WINDOW) {
      this.#windowStart = now
      this.#inWindow = 0
    }
    for (const shard of this.#shards) this.#inWindow += shard.reach
    if (this.#inWindow > FEW) {
      // A flush that ran meanwhile may have asked for a turn already.
      this.#turn ??= setImmediate(this.#flushSome)
      return
    }
    // Those that are added meanwhile ask again.
    for (let { length } = this.#shards; length > 0; length--) {
      const shard = this.#shards.shift()
      // The queue may be stopped meanwhile.
      if (shard === undefined) return
      this.#flush(shard, now)
    }
  }

  readonly #flushSome = (): void => {
    this.#turn = undefined
    const now = performance.now()
    let count = 0
    while (count < ENOUGH) {
      const shard = this.#shards.shift()
      if (shard === undefined) return
      count += this.#flush(shard, now)
    }
    // Set from within a turn, the next one comes after the event loop has served I/O.
    if (this.#shards.length > 0) this.#turn ??= setImmediate(this.#flushSome)
  }
}
