// The queue of shards that wait to be flushed. The flush itself is in shard.ts.

import type { Diagnostics } from '../../api/diagnostics.js'
import type { Shard } from './shard.js'

/** Number of clients that a turn of the event loop should reach: shards that have few clients to flush share a turn. */
const ENOUGH = 16

/** Flushes shards in turns of the event loop, so that I/O is served in between. */
export class FlushQueue {
  /** The shard that waits longest comes first. No shard is in it twice. */
  readonly #shards: Shard[] = []
  #turn: NodeJS.Immediate | undefined
  readonly #diagnostics: Diagnostics
  /** When shards were added, ms of `performance.now()`, if a subscriber of the diagnostics wants to know. */
  readonly #askedAt = new WeakMap<Shard, number>()

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics
  }

  add(shard: Shard): void {
    // It is still in the queue if `hurry` has flushed it.
    if (!this.#shards.includes(shard)) this.#shards.push(shard)
    this.#turn ??= setImmediate(this.#flushSome)
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
