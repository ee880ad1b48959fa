import type { Shard } from './shard.js'

/** Clients for which a turn is worth its while: those of several shards, where few of each have something to hear. */
const ENOUGH = 16

/** The shards that are to be flushed, in turns of the event loop, so that I/O is served between them. */
export class FlushQueue {
  /** The one that waits longest comes first; none is there twice. */
  readonly #shards: Shard[] = []
  #turn: NodeJS.Immediate | undefined

  add(shard: Shard): void {
    // It may be there still, where it was flushed in a hurry.
    if (!this.#shards.includes(shard)) this.#shards.push(shard)
    this.#turn ??= setImmediate(this.#flushSome)
  }

  /** Whether no shard is to be flushed. */
  get isIdle(): boolean {
    return this.#shards.length === 0
  }

  /** Flushes now those shards that have not been offered the events up to `seq`, which is about to leave the log. */
  hurry(seq: number): void {
    const now = performance.now()
    for (const shard of this.#shards) if (shard.offered < seq) shard.flush(now)
  }

  stop(): void {
    this.#shards.length = 0
    clearImmediate(this.#turn)
    this.#turn = undefined
  }

  readonly #flushSome = (): void => {
    this.#turn = undefined
    const now = performance.now()
    let count = 0
    while (count < ENOUGH) {
      const shard = this.#shards.shift()
      if (shard === undefined) return
      count += shard.flush(now)
    }
    // Set from within a turn, the next one comes after the event loop has served I/O.
    if (this.#shards.length > 0) this.#turn ??= setImmediate(this.#flushSome)
  }
}
