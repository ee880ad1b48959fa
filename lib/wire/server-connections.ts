// The connections of one server, and what is in progress on each. When they are cut is decided in connections.ts.

import type { EventEmitter } from 'node:events'
import type { OutgoingMessage } from 'node:http'
import type { Http2Session, ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { inSlices } from './time-slices.js'

export type Server = EventEmitter & { readonly listening?: boolean }

/** What Node's HTTP/1 server keeps on a socket: its parser, until an upgrade, and the response whose turn it is. */
type HttpSocket = Socket & { parser?: object | null; _httpMessage?: OutgoingMessage | null }

/** Marks responses, HTTP/2 streams and sockets of requests that are the plugin's. A WeakSet would cost each connect more. */
const OURS = Symbol('pylon-sse.ours')

interface Markable {
  [OURS]?: true
}

/**
 * Marks a response, an HTTP/2 stream or a connection as the plugin's. Whatever else is in progress on a connection is a
 * request of the app.
 */
export function markAsOurs(part: object): void {
  ;(part as Markable)[OURS] = true
}

function isOurs(part: object): boolean {
  return (part as Markable)[OURS] === true
}

/** The open connections of one server. */
export class ServerConnections {
  readonly #server: Server
  readonly #sockets = new Set<HttpSocket>()
  /** Sockets whose TLS handshake has not finished, by the address of the client. */
  readonly #handshakes = new Map<string, Socket>()
  /** HTTP/2 sessions and their streams, by socket. */
  readonly #sessions = new Map<Socket, { session: Http2Session; streams: Set<ServerHttp2Stream> }>()
  #newest: Socket | undefined
  /** One listener for all sockets, which takes less memory than one each. */
  readonly #onSocketClose: (this: Socket) => void

  /** Tracks connections that are made from now on. */
  constructor(server: Server) {
    this.#server = server
    const sockets = this.#sockets
    const sessions = this.#sessions
    this.#onSocketClose = function () {
      sockets.delete(this)
      sessions.delete(this)
    }
    // A TLS server emits 'connection' with the TCP socket, and 'secureConnection' with the TLS socket.
    const isTls = 'setSecureContext' in server
    const onConnection = isTls ? this.#onHandshake : this.#onSocket
    // Prepended: Node's own 'connection' listener emits 'session' at once, and `#onSession` takes the socket from `#newest`.
    server.prependListener('connection', onConnection).prependListener('secureConnection', this.#onSocket)
    server.on('session', this.#onSession)
    server.once('close', () => {
      server.off('connection', onConnection).off('secureConnection', this.#onSocket).off('session', this.#onSession)
    })
  }

  /** Whether the server does not listen, and has no connection left. */
  get isDone(): boolean {
    return !this.#server.listening && this.#sockets.size + this.#handshakes.size === 0
  }

  /** Tells HTTP/2 clients to make no further requests, and closes idle connections that have carried a stream. */
  async leave(): Promise<void> {
    await inSlices([...this.#sockets], (socket) => {
      const session = this.#sessions.get(socket)?.session
      if (session?.closed === false) session.close()
      if (isOurs(socket) && isBetweenRequests(socket)) socket.destroy()
    })
  }

  /**
   * Cuts connections without a request of the app in progress. Those that have sent nothing are cut as soon as the
   * server has stopped listening.
   *
   * @param isLate whether the others are to be cut, too
   */
  async cut(isLate: boolean): Promise<void> {
    // Other hooks of the app's closing are still running.
    if (this.#server.listening) return
    await inSlices([...this.#sockets], (socket) => {
      if (socket.bytesRead === 0 || (isLate && !this.#isInUse(socket))) socket.destroy()
    })
    await inSlices([...this.#handshakes.values()], (socket) => {
      if (socket.bytesRead === 0 || isLate) socket.destroy()
    })
  }

  /**
   * Destroys the plugin's streams that clients have reset with NO_ERROR while bytes waited: Node would keep such a
   * stream, and its session, for ever. Those of the app are left to the app.
   */
  freeAbandoned(): void {
    for (const { streams } of this.#sessions.values()) {
      for (const stream of streams) if (isOurs(stream) && isAbandoned(stream)) stream.destroy()
    }
  }

  /** Whether the app is answering a request, or has taken the connection over, for example after an upgrade. */
  #isInUse(socket: HttpSocket): boolean {
    const http2 = this.#sessions.get(socket)
    if (http2 !== undefined) return [...http2.streams].some((stream) => !isOurs(stream) && !isAbandoned(stream))
    const answer = socket._httpMessage
    return answer == null ? !isBetweenRequests(socket) : !isOurs(answer)
  }

  readonly #onHandshake = (socket: Socket): void => {
    const key = addressOf(socket)
    this.#handshakes.set(key, socket)
    socket.once('close', () => {
      if (this.#handshakes.get(key) === socket) this.#handshakes.delete(key)
    })
  }

  readonly #onSocket = (socket: Socket): void => {
    if (this.#handshakes.size > 0) this.#handshakes.delete(addressOf(socket))
    this.#newest = socket
    this.#sockets.add(socket)
    // Not `once`, which would keep three objects for each connection. A socket closes only once.
    socket.on('close', this.#onSocketClose)
  }

  readonly #onSession = (session: Http2Session): void => {
    const streams = new Set<ServerHttp2Stream>()
    const forget = function (this: ServerHttp2Stream): void {
      streams.delete(this)
    }
    this.#sessions.set(this.#newest!, { session, streams })
    session.on('stream', (stream: ServerHttp2Stream) => {
      streams.add(stream)
      stream.once('close', forget)
    })
  }
}

/** Whether an HTTP/1 connection waits for a request, or for the rest of one. */
function isBetweenRequests({ parser, _httpMessage }: HttpSocket): boolean {
  return parser != null && _httpMessage == null
}

/** Whether the client has reset a stream while bytes waited. With NO_ERROR no event tells of that. */
export function isAbandoned(stream: ServerHttp2Stream): boolean {
  return stream.closed && stream.writableLength > 0
}

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
