// The keepalives that clients of a hub share. When a client gets one is decided in follower.ts.

import { type Chunk, OwnChunk } from '../../log/chunk.js'
import { encodeKeepAlive } from '../../log/encode.js'

/** Makes keepalives. Clients that get one between two events share it. */
export class KeepAlives {
  /** For clients whose cursor has not moved. */
  readonly #quiet: Chunk
  /** The last one with a cursor. */
  #last: { cursor: string; chunk: Chunk } | undefined

  /** @param kind `'event'` if pages can observe them, as the option `keepAlive` */
  constructor(kind: 'comment' | 'event') {
    this.#quiet = new OwnChunk(encodeKeepAlive(kind === 'event'))
  }

  /** Returns a keepalive. @param cursor the cursor of the client, if it has moved since the client was told one */
  at(cursor: string | undefined): Chunk {
    if (cursor === undefined) return this.#quiet
    if (this.#last?.cursor !== cursor) this.#last = { cursor, chunk: new OwnChunk(encodeKeepAlive(true, cursor)) }
    return this.#last.chunk
  }
}
