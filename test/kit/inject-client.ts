import type { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { EventReader } from './event-reader.js'
import { headersOf, pathOf, type StreamRequest } from './stream-request.js'

/** The stream as `app.inject({ payloadAsStream: true })` gives it: no socket, no framing. */
export async function injectClient(app: FastifyInstance, request: StreamRequest = {}): Promise<InjectClient> {
  const response = await app.inject({
    method: (request.method ?? 'GET') as 'GET',
    url: pathOf(request),
    headers: Object.fromEntries(headersOf(request)),
    payloadAsStream: true
  })
  const rawHeaders = Object.entries(response.headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((single): [string, string] => [name, String(single)])
  )
  return new InjectClient({ status: response.statusCode, rawHeaders }, response.stream())
}

export class InjectClient extends EventReader {
  readonly #stream: Readable

  constructor(head: { status: number; rawHeaders: [string, string][] }, stream: Readable) {
    super()
    this.#stream = stream
    this.receiveHead(head)
    let error: Error | undefined
    stream
      .on('data', (bytes: Buffer) => this.#orFail(() => this.receive(bytes)))
      .on('end', () => this.#orFail(() => this.finish()))
      .on('error', (reason) => {
        error = reason
      })
      .on('close', () => this.hangUp(error))
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  close(): Promise<void> {
    this.#stream.destroy()
    return this.closed
  }

  #orFail(read: () => void): void {
    try {
      read()
    } catch (error) {
      this.fail(error as Error)
      this.#stream.destroy()
    }
  }
}
