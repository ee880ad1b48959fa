// A client over a socket, which sees each byte.

import net from 'node:net'
import tls from 'node:tls'
import { deferred } from './deferred.js'
import { EventReader, type Head } from './event-reader.js'
import { Http1Parser } from './http1-parser.js'
import { withTimeout } from './patience.js'
import { headersOf, pathOf, type StreamRequest, type Target } from './stream-request.js'

export interface ConnectOptions extends StreamRequest {
  httpVersion?: '1.0' | '1.1'
  /** The client's own address: 127.0.0.2 and on serve as different clients (on Linux, where all of 127/8 is local). */
  localAddress?: string
  /** Requests to send before the stream's, in the same write; their answers are the first in `pipelined`. */
  before?: StreamRequest[]
  /** Reads nothing at all, or nothing after the packet that has the head, until `resume()`. */
  stuckBefore?: 'head' | 'body'
  /** Whether `connect` waits for the head. Default: unless the client is stuck before it. */
  waitForHead?: boolean
  /** Keep what came off the wire in `raw`. */
  keepRaw?: boolean
}

/** Opens a stream; resolves when the head has come, whatever its status. */
export async function connect(target: Target | number, options: ConnectOptions = {}): Promise<SseClient> {
  const place = typeof target === 'number' ? { port: target } : target
  const { stuckBefore, waitForHead = stuckBefore !== 'head' } = options
  const transport = await connected(openTransport(place, options), 'connect', 'a connection')
  const socket = place.ca
    ? await connected(tls.connect({ socket: transport, ca: place.ca, servername: 'localhost' }), 'secureConnect', 'TLS')
    : transport
  const client = new SseClient(socket, transport, options)
  if (waitForHead) {
    try {
      await client.head()
    } catch (error) {
      client.abort()
      throw error
    }
  }
  return client
}

function openTransport({ host = '127.0.0.1', port, socketPath }: Target, { localAddress }: ConnectOptions): net.Socket {
  if (socketPath !== undefined) return net.connect({ path: socketPath })
  if (port === undefined) throw new TypeError('a target needs a port or a socketPath')
  return net.connect(localAddress === undefined ? { host, port } : { host, port, localAddress })
}

async function connected<S extends net.Socket>(socket: S, event: string, what: string): Promise<S> {
  const { promise, resolve, reject } = deferred<S>()
  socket.once(event, () => resolve(socket)).once('error', reject)
  try {
    return await withTimeout(promise, what)
  } finally {
    socket.off('error', reject)
  }
}

/** An HTTP/1 client that leaves nothing to a library, so that it can be slow, rude, old or early, and misses no byte. */
export class SseClient extends EventReader {
  /** The answers to the other requests on this connection, in the order in which they were sent. */
  readonly pipelined: EventReader[] = []
  readonly #socket: net.Socket
  readonly #transport: net.Socket
  readonly #options: ConnectOptions
  readonly #parser = new Http1Parser()
  readonly #raw: Buffer[] = []

  /** `transport` is the socket under TLS; without TLS the same one twice. */
  constructor(socket: net.Socket, transport: net.Socket, options: ConnectOptions) {
    super()
    this.#socket = socket
    this.#transport = transport
    this.#options = options
    let error: Error | undefined
    if (options.stuckBefore === 'head') socket.pause()
    socket
      .on('data', (bytes: Buffer) => {
        if (options.keepRaw) this.#raw.push(bytes)
        this.#orFail(() => this.#parser.push(bytes))
      })
      .on('end', () => this.#orFail(() => this.#parser.finish()))
      .on('error', (reason) => {
        error = reason
      })
      .on('close', () => {
        for (const reader of [this, ...this.pipelined]) reader.hangUp(error)
      })
    socket.cork()
    for (const request of options.before ?? []) this.request(request)
    this.#ask(options, this)
    socket.uncork()
  }

  get raw(): Buffer {
    return Buffer.concat(this.#raw)
  }

  /** Sends one more request down the same connection, without waiting for the answers to those before it. */
  request(request: StreamRequest): EventReader {
    const reader = new EventReader()
    this.pipelined.push(reader)
    this.#ask(request, reader)
    return reader
  }

  /**
   * Stops reading from the kernel, after one more packet at the most. What the kernel has to tell it waits too: until
   * `resume()` the client sees no end and no reset.
   */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Half-closes: the server sees the end of the requests, and may still write. */
  endRequests(): void {
    this.#socket.end()
  }

  /** As when a tab is closed. */
  close(): Promise<void> {
    this.#socket.destroy()
    return this.closed
  }

  /** As when the client's process is killed: the server gets an RST (an end over a unix socket, which has no RST). */
  abort(): Promise<void> {
    // One that is being shut down cannot be reset any more, and would never be told to be closed.
    if (this.#transport.remoteAddress && !this.#transport.writableEnded) this.#transport.resetAndDestroy()
    this.#socket.destroy()
    return this.closed
  }

  override receiveHead(head: Head): void {
    if (this.#options.stuckBefore === 'body') this.pause()
    super.receiveHead(head)
  }

  #ask(request: StreamRequest, reader: EventReader): void {
    const { httpVersion = '1.1' } = this.#options
    const { method = 'GET' } = request
    const headers = headersOf({ ...request, headers: { host: 'localhost', ...request.headers } })
    this.#parser.expect({
      method,
      httpVersion,
      receiveHead: (head) => reader.receiveHead(head),
      receive: (body) => reader.receive(body),
      finish: () => reader.finish()
    })
    const lines = [`${method} ${pathOf(request)} HTTP/${httpVersion}`, ...headers.map((header) => header.join(': '))]
    this.#socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  }

  /** After foreign bytes nothing on the connection can be believed. */
  #orFail(parse: () => void): void {
    try {
      parse()
    } catch (error) {
      for (const reader of [this, ...this.pipelined]) reader.fail(error as Error)
      this.#socket.destroy()
    }
  }
}
