// A client over app.inject.

import type { FastifyInstance } from 'fastify'
import type { Connection } from '../../lib/entries/testing/connection.js'
import { openInject } from '../../lib/entries/testing/inject.js'
import { EventReader } from './event-reader.js'
import { headersOf, pathOf, type StreamRequest } from './stream-request.js'

/** The stream as `app.inject({ payloadAsStream: true })` gives it: no socket, no framing. */
export async function injectClient(app: FastifyInstance, request: StreamRequest = {}): Promise<InjectClient> {
  const client = new InjectClient(app, request)
  await client.head()
  return client
}

export class InjectClient extends EventReader {
  readonly #connection: Connection

  constructor(app: FastifyInstance, request: StreamRequest) {
    super()
    const { method = 'GET' } = request
    const wanted = { method, path: pathOf(request), headers: headersOf(request), body: undefined }
    this.#connection = openInject(app, wanted, undefined, this)
  }

  pause(): void {
    this.#connection.pause()
  }

  resume(): void {
    this.#connection.resume()
  }

  close(): Promise<void> {
    this.#connection.close()
    return this.closed
  }
}
