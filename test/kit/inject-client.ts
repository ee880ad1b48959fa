// A client over app.inject, and an app that does not listen.

import fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { Connection } from '../../lib/entries/testing/connection.js'
import { openInject } from '../../lib/entries/testing/inject.js'
import pylonSse, { type PylonSseOptions } from '../../lib/index.js'
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

/** An app with the plugin, which does not listen. */
export async function withStream(t: Test, options: PylonSseOptions = {}): Promise<FastifyInstance> {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(pylonSse, options)
  return app
}
