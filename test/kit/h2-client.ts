// A client over HTTP/2.

import http2 from 'node:http2'
import net from 'node:net'
import { EventReader } from './event-reader.js'
import { headersOf, pathOf, type StreamRequest, type Target } from './stream-request.js'

export interface H2ConnectOptions extends StreamRequest {
  localAddress?: string
  /** Opens the stream on the connection of this client, which stays the owner of it. */
  over?: H2Client
  /** Reads nothing after the head until `resume()`: flow control then stops the server after 64 KiB. */
  stuckBefore?: 'body'
  /** Whether to wait for the head. Default: true. */
  waitForHead?: boolean
}

/** Opens a stream over HTTP/2, in clear text where the target has no `ca`; resolves when the head has come. */
export async function connectH2(target: Target | number, options: H2ConnectOptions = {}): Promise<H2Client> {
  const place = typeof target === 'number' ? { port: target } : target
  const client = new H2Client(place, options)
  if (options.waitForHead ?? true) {
    try {
      await client.head()
    } catch (error) {
      client.abort()
      throw error
    }
  }
  return client
}

/**
 * The same awaitables over HTTP/2. `ended` is also true after an RST_STREAM that says NO_ERROR: node:http2 does not
 * tell the two apart reliably.
 */
export class H2Client extends EventReader {
  readonly #session: http2.ClientHttp2Session
  readonly #ownsSession: boolean
  readonly #stream: http2.ClientHttp2Stream

  constructor(target: Target, options: H2ConnectOptions) {
    super()
    this.#ownsSession = !options.over
    this.#session = options.over ? options.over.#session : openSession(target, options)
    let error: Error | undefined
    const onError = (reason: Error) => {
      error = reason
    }
    if (this.#ownsSession) this.#session.on('error', onError)
    this.#stream = this.#session.request(
      { ':method': options.method ?? 'GET', ':path': pathOf(options), ...joined(headersOf(options)) },
      { endStream: true }
    )
    this.#stream
      .on('response', (...[, , raw]: unknown[]) => {
        if (options.stuckBefore) this.pause()
        this.receiveHead(headOf(raw as string[]))
      })
      .on('data', (bytes: Buffer) => this.receive(bytes))
      .on('end', () => {
        if (this.#stream.rstCode === 0) this.finish()
      })
      .on('error', onError)
      .on('close', () => {
        // Nobody else would: a session with no stream left keeps its connection, and the server waits for it.
        if (this.#ownsSession) this.#session.close()
        this.hangUp(error)
      })
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  /** Cancels the stream, as when a tab is closed; the connection follows once no other stream uses it. */
  close(): Promise<void> {
    this.#stream.close(http2.constants.NGHTTP2_CANCEL)
    return this.closed
  }

  /** Cuts the connection, and with it every stream that is on it. */
  abort(): Promise<void> {
    this.#session.destroy()
    return this.closed
  }
}

function openSession(target: Target, { localAddress }: H2ConnectOptions): http2.ClientHttp2Session {
  const { host = '127.0.0.1', port, socketPath, ca } = target
  const local = localAddress === undefined ? {} : { localAddress }
  if (ca !== undefined) return http2.connect(`https://${host}:${port}`, { ca, servername: 'localhost', ...local })
  return http2.connect('http://localhost', {
    createConnection: () =>
      socketPath === undefined ? net.connect({ host, port: port!, ...local }) : net.connect(socketPath)
  })
}

function headOf(raw: string[]): { status: number; rawHeaders: [string, string][] } {
  const pairs = Array.from({ length: raw.length / 2 }, (_, i): [string, string] => [raw[2 * i]!, raw[2 * i + 1]!])
  return {
    status: Number(pairs.find(([name]) => name === ':status')?.[1]),
    rawHeaders: pairs.filter(([name]) => !name.startsWith(':'))
  }
}

function joined(headers: [string, string][]): Record<string, string[]> {
  const all: Record<string, string[]> = {}
  for (const [name, value] of headers) all[name] = [...(all[name] ?? []), value]
  return all
}
