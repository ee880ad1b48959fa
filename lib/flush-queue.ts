import type { Shard } from './shard.js'

/** The shards that are to be flushed, each in a turn of the event loop of its own, so that I/O is served between them. */
export class FlushQueue {
  readonly #shards = new Set<Shard>()
  #turn: NodeJS.Immediate | undefined

  add(shard: Shard): void {
    this.#shards.add(shard)
    this.#turn ??= setImmediate(this.#flushFirst)
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

  readonly #flushFirst = (): void => {
    this.#turn = undefined
    const shard = this.#shards.values().next().value!
    this.#shards.delete(shard)
    shard.flush(performance.now())
    // Set from within a turn, the next one comes after the event loop has served I/O.
    if (this.#shards.size > 0) this.#turn ??= setImmediate(this.#flushFirst)
  }
}
