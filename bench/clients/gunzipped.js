// A compressed stream for events.js.

import { createGunzip } from 'node:zlib'

/** Decompresses a gzip stream, and has its events parsed. */
export class Gunzipped {
  #events
  #gunzip = createGunzip()

  /** @param {import('./events.js').Events} events */
  constructor(events) {
    this.#events = events
    this.#gunzip.on('data', (bytes) => events.push(bytes, 0, bytes.length))
    this.#gunzip.on('error', (error) => events.faults.push(error.message))
  }

  get next() {
    return this.#events.next
  }

  get faults() {
    return this.#events.faults
  }

  get lastId() {
    return this.#events.lastId
  }

  push(bytes, from, to) {
    // Copied, since the shared buffer is overwritten before zlib gets to it.
    this.#gunzip.write(Buffer.from(bytes.subarray(from, to)))
  }
}
