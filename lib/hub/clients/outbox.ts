import type { Chunk } from '../../log/chunk.js'

/** An event to one client, which goes out when the client's cursor has reached `after`. */
export interface Direct {
  readonly after: number
  readonly chunk: Chunk
}

/** The events to one client that wait for its cursor or its socket. The oldest go where there are too many. */
export class Outbox {
  readonly #maxEvents: number
  readonly #maxBytes: number
  readonly #directs: Direct[] = []
  #bytes = 0

  /** @param maxBytes bytes held at most, but always one event */
  constructor(maxEvents: number, maxBytes: number) {
    this.#maxEvents = maxEvents
    this.#maxBytes = maxBytes
  }

  /** The one that is next. */
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

  /** Drops what is too much. @returns how many events it was */
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
