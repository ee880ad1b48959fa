import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
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
  return new InjectClient(response)
}

export class InjectClient extends EventReader {
  readonly #response: LightMyRequestResponse

  constructor(response: LightMyRequestResponse) {
    super()
    this.#response = response
    const rawHeaders = Object.entries(response.headers).flatMap(([name, value]) =>
      [value ?? []].flat().map((single): [string, string] => [name, String(single)])
    )
    this.receiveHead({ status: response.statusCode, rawHeaders })
    let error: Error | undefined
    response
      .stream()
      .on('data', (bytes: Buffer) => this.receive(bytes))
      .on('end', () => this.finish())
      .on('error', (reason) => {
        error = reason
      })
      .on('close', () => this.hangUp(error))
  }

  pause(): void {
    this.#response.stream().pause()
  }

  resume(): void {
    this.#response.stream().resume()
  }

  /** From the server's side, as a lost connection is: light-my-request does not tell it of a reader that destroys. */
  close(): Promise<void> {
    this.#response.raw.res.destroy()
    return this.closed
  }
}
