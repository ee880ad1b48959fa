import type { Diagnostics } from '../../api/diagnostics.js'
import type { Shard } from './shard.js'

/** Clients for which a turn is worth its while: those of several shards, where few of each have something to hear. */
const ENOUGH = 16

/** The shards that are to be flushed, in turns of the event loop, so that I/O is served between them. */
export class FlushQueue {
  /** The one that waits longest comes first; none is there twice. */
  readonly #shards: Shard[] = []
  #turn: NodeJS.Immediate | undefined
  readonly #diagnostics: Diagnostics
  /** When they asked, where someone wants to know, on the clock of `performance.now()`, ms. */
  readonly #askedAt = new WeakMap<Shard, number>()

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics
  }

  add(shard: Shard): void {
    // It may be there still, where it was flushed in a hurry.
    if (!this.#shards.includes(shard)) this.#shards.push(shard)
    this.#turn ??= setImmediate(this.#flushSome)
    if (this.#diagnostics.takesFlushes) this.#askedAt.set(shard, performance.now())
  }

  /** Whether no shard is to be flushed. */
  get isIdle(): boolean {
    return this.#shards.length === 0
  }

  /** Flushes now those shards that have not been offered the events up to `seq`, which is about to leave the log. */
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
