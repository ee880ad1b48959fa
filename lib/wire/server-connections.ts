import type { EventEmitter } from 'node:events'
import type { OutgoingMessage } from 'node:http'
import type { Http2Session, ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { inSlices } from './time-slices.js'

export type Server = EventEmitter & { readonly listening?: boolean }

/** What Node's HTTP/1 keeps on a socket: its parser, until an upgrade, and the response whose turn it is. */
type HttpSocket = Socket & { parser?: object | null; _httpMessage?: OutgoingMessage | null }

/** Requests' responses, streams and sockets that are the plugin's, whichever hub's. */
const ours = new WeakSet<object>()

/** Marks a response, and its connection. What else is in progress on a connection is an ordinary request of the app. */
export function markAsOurs(...parts: object[]): void {
  for (const part of parts) ours.add(part)
}

/** The open connections of one server. */
export class ServerConnections {
  readonly #server: Server
  readonly #sockets = new Set<HttpSocket>()
  /** Sockets whose TLS handshake is not through, by the address of the client. */
  readonly #handshakes = new Map<string, Socket>()
  /** What runs on sockets of HTTP/2. */
  readonly #sessions = new Map<Socket, { session: Http2Session; streams: Set<ServerHttp2Stream> }>()
  #newest: Socket | undefined
  /** One for all of them: it costs a connection less memory than one of its own. */
  readonly #onSocketClose: (this: Socket) => void

  /** Knows those that are made from now on. */
  constructor(server: Server) {
    this.#server = server
    const sockets = this.#sockets
    const sessions = this.#sessions
    this.#onSocketClose = function () {
      sockets.delete(this)
      sessions.delete(this)
    }
    // A server of TLS emits 'connection' for the socket beneath, and 'secureConnection' for its own.
    const isTls = 'setSecureContext' in server
    const onConnection = isTls ? this.#onHandshake : this.#onSocket
    // First of all: what emits 'session', while it hears of the socket, is Node's own listener.
    server.prependListener('connection', onConnection).prependListener('secureConnection', this.#onSocket)
    server.on('session', this.#onSession)
    server.once('close', () => {
      server.off('connection', onConnection).off('secureConnection', this.#onSocket).off('session', this.#onSession)
    })
  }

  /** Whether it has closed, or never listened. */
  get isDone(): boolean {
    return !this.#server.listening && this.#sockets.size + this.#handshakes.size === 0
  }

  /** Has clients of HTTP/2 make no further request, and closes connections that only a stream has kept open. */
  async leave(): Promise<void> {
    await inSlices([...this.#sockets], (socket) => {
      const session = this.#sessions.get(socket)?.session
      if (session?.closed === false) session.close()
      if (ours.has(socket) && isBetweenRequests(socket)) socket.destroy()
    })
  }

  /**
   * Cuts connections on which no ordinary request of the app is in progress. One that has sent nothing goes as soon as
   * the server listens no more.
   *
   * @param isLate whether others are to go, too
   */
  async cut(isLate: boolean): Promise<void> {
    // Those amid other hooks of the app's closing have time.
    if (this.#server.listening) return
    await inSlices([...this.#sockets], (socket) => {
      if (socket.bytesRead === 0 || (isLate && !this.#isInUse(socket))) socket.destroy()
    })
    await inSlices([...this.#handshakes.values()], (socket) => {
      if (socket.bytesRead === 0 || isLate) socket.destroy()
    })
  }

  /**
   * Frees streams that their clients have reset with NO_ERROR while bytes waited: Node keeps such a stream, and with it
   * the session, for ever. Those of the app are left to it.
   */
  freeAbandoned(): void {
    for (const { streams } of this.#sessions.values()) {
      for (const stream of streams) if (ours.has(stream) && isAbandoned(stream)) stream.destroy()
    }
  }

  /** Whether the app answers a request, or has the connection for itself: after an upgrade, say. */
  #isInUse(socket: HttpSocket): boolean {
    const http2 = this.#sessions.get(socket)
    if (http2 !== undefined) return [...http2.streams].some((stream) => !ours.has(stream) && !isAbandoned(stream))
    const answer = socket._httpMessage
    return answer == null ? !isBetweenRequests(socket) : !ours.has(answer)
  }

  readonly #onHandshake = (socket: Socket): void => {
    const key = addressOf(socket)
    this.#handshakes.set(key, socket)
    socket.once('close', () => {
      if (this.#handshakes.get(key) === socket) this.#handshakes.delete(key)
    })
  }

  readonly #onSocket = (socket: Socket): void => {
    this.#handshakes.delete(addressOf(socket))
    this.#newest = socket
    this.#sockets.add(socket)
    socket.once('close', this.#onSocketClose)
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

/** Whether an HTTP/1 connection waits for a request, or for the rest of one's head or body. */
function isBetweenRequests({ parser, _httpMessage }: HttpSocket): boolean {
  return parser != null && _httpMessage == null
}

/** Whether its client has reset it while bytes waited: with NO_ERROR, no event tells of that. */
export function isAbandoned(stream: ServerHttp2Stream): boolean {
  return stream.closed && stream.writableLength > 0
}

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
