import type { Shard } from './shard.js'

/** Clients for which a turn is worth its while: those of several shards, where few of each have something to hear. */
const ENOUGH = 16

/** The shards that are to be flushed, in turns of the event loop, so that I/O is served between them. */
export class FlushQueue {
  readonly #shards = new Set<Shard>()
  #turn: NodeJS.Immediate | undefined

  add(shard: Shard): void {
    this.#shards.add(shard)
    this.#turn ??= setImmediate(this.#flushSome)
  }

  /** Flushes now those shards that have not been offered the events up to `seq`, which is about to leave the log. */
  hurry(seq: number): void {
    if (this.#shards.size === 0) return
    const now = performance.now()
    for (const shard of this.#shards) if (shard.offered < seq) shard.flush(now)
  }

  stop(): void {
    this.#shards.clear()
    clearImmediate(this.#turn)
    this.#turn = undefined
  }

  readonly #flushSome = (): void => {
    this.#turn = undefined
    const now = performance.now()
    let count = 0
    for (const shard of this.#shards) {
      this.#shards.delete(shard)
      count += shard.flush(now)
      // Set from within a turn, the next one comes after the event loop has served I/O.
      if (this.#shards.size > 0 && count >= ENOUGH) {
        this.#turn ??= setImmediate(this.#flushSome)
        return
      }
    }
  }
}
