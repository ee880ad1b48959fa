// Events to a single client (`client.send`) that wait for its cursor or its socket. Broadcast events are never queued
// for a client: they are in the log.

import type { Chunk } from '../../log/chunk.js'

/** An event to a single client, which is written once the client's cursor has reached `after`. */
export interface Direct {
  readonly after: number
  readonly chunk: Chunk
}

/** The queue of direct events of one client, bounded in events and bytes. Past a bound the oldest are dropped. */
export class Outbox {
  readonly #maxEvents: number
  readonly #maxBytes: number
  readonly #directs: Direct[] = []
  #bytes = 0

  /** @param maxBytes maximum size, bytes; one event is always held */
  constructor(maxEvents: number, maxBytes: number) {
    this.#maxEvents = maxEvents
    this.#maxBytes = maxBytes
  }

  /** The next event. */
  get first(): Direct | undefined {
    return this.#directs[0]
  }

  push(direct: Direct): void {
    this.#directs.push(direct)
    this.#bytes += direct.chunk.size
  }

  shift(): void {
    this.#bytes -= this.#directs.shift()!.chunk.size
  }

  /** Drops the oldest events past the bounds. @returns their number */
  trim(): number {
    let dropped = 0
    while (this.#directs.length > this.#maxEvents || (this.#directs.length > 1 && this.#bytes > this.#maxBytes)) {
      this.shift()
      dropped++
    }
    return dropped
  }

  clear(): void {
    this.#directs.length = 0
    this.#bytes = 0
  }
}
