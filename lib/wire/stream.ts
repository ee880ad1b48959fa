import { AsyncResource } from 'node:async_hooks'
import { type IncomingHttpHeaders, type IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerRequest, Http2ServerResponse, type Http2Session } from 'node:http2'
import { Socket } from 'node:net'
import type { Chunk } from '../log/chunk.js'
import { offConnectionClose, onConnectionClose } from './connection-close.js'
import { holdSession, releaseSession } from './http2-sessions.js'

/** What a stream tells its owner. */
export interface StreamListener {
  /** It takes bytes again after a `write` that returned false. */
  onDrain(): void
  /** What it took its time for is done, and has found the socket full. */
  onFull(): void
  /** The response throws, since someone has replaced parts of it or set what cannot be written. `onClose` follows. */
  onFail(error: unknown): void
  /** It is gone, whoever ended it. Called once, for streams that were never opened too. */
  onClose(): void
}

export type Request = IncomingMessage | Http2ServerRequest
export type Response = ServerResponse | Http2ServerResponse
export type Headers = Record<string, number | string | string[] | undefined>

/** The answer where no head can be written with what others have set. */
const FAILED = {
  statusCode: 500,
  code: 'PYLON_SSE_ERR_HEAD',
  error: 'Internal Server Error',
  message: 'The head of the event stream could not be written.'
}

/** Heads of streams that wait for their turn on their connection: few do. */
const waitingHeads = new WeakMap<EventStream, Headers>()

/** How long an ended stream may take to get its last bytes out, ms. */
const END_GRACE = 1000

/**
 * The bytes of one response.
 *
 * On HTTP/1.1 frames go straight to the socket, already in chunked coding, so that all clients share one Buffer and a
 * write costs one system call. That is right only while the socket is this response's own: its head is out, and its
 * end is not. Everything else (HTTP/2, HTTP/1.0, `inject`, a response whose `write` someone has wrapped) goes through
 * the response's own `write`, also for responses of a class that Node does not know (another `serverFactory`).
 *
 * What has been done is known by a state of its own: plugins replace `headersSent`, `write`, `end` and `writeHead`, and
 * no error that they throw leaves this class.
 */
export class EventStream {
  /** The socket, where frames go straight to it. It comes first, with what else every write looks at. */
  #socket: Socket | undefined
  /** Bytes written, and what of them had been taken, and had not, when `hasTaken` was last asked. */
  #written = 0
  #taken = 0
  #queued = 0
  readonly #req: Request
  readonly #res: Response
  protected readonly listener: StreamListener
  #session: Http2Session | undefined
  /** The connection's timeout without the stream, ms. */
  #timeout = 0
  /** Whether the response has been taken over. */
  #isOurs = false
  /** Whether the head has been written. */
  #hasHead = false
  #ended = false
  #gone = false
  #grace: NodeJS.Timeout | undefined
  #onDrain: (() => void) | undefined

  constructor(req: Request, res: Response, listener: StreamListener) {
    this.#req = req
    this.#res = res
    this.listener = listener
    res.on('close', this.#onClose)
    // A response that waits for its turn on an HTTP/1 connection is not told that the connection has closed.
    if (isHttp1(res) && res.socket === null) onConnectionClose(req.socket, this.#onClose)
    // Errors of a connection end in 'close'; without a listener they would end the process.
    res.on('error', noop)
  }

  /** Whether the client of a response has gone: nothing will tell of it again. */
  static isGone(req: Request, res: Response): boolean {
    if (isHttp2(res)) return res.stream === undefined || res.stream.destroyed || res.stream.closed
    return res.destroyed || req.socket?.destroyed === true
  }

  /** Whether it is over, on either side. */
  get closed(): boolean {
    return this.#ended || this.#gone
  }

  /** Whether the client has gone. */
  get gone(): boolean {
    return this.#gone
  }

  /** Whether the client has taken bytes since this was last asked, or has none to take. */
  hasTaken(): boolean {
    // Not every response that a server of the app's own gives tells it.
    const { writableLength = 0 } = this.#socket ?? this.#res
    const taken = this.#written - writableLength
    // A write counts in `writableLength` until the last of its bytes is out. Node's own timeouts look here, too.
    const socket: (Socket & { _handle?: { writeQueueSize?: number } }) | undefined = this.#socket
    const queued = socket?._handle?.writeQueueSize ?? 0
    const hasTaken = writableLength === 0 || taken > this.#taken || queued !== this.#queued
    this.#taken = taken
    this.#queued = queued
    return hasTaken
  }

  /**
   * Takes the response over. Head and first bytes go out as soon as it is this response's turn on its connection;
   * `opened` is called then, or never, when the stream closes before.
   */
  open(headers: Headers, first: Chunk, opened: () => void): void {
    this.#open(headers, first, opened)
  }

  #open(headers: Headers, first: Chunk, opened: () => void): void {
    if (this.closed) return
    this.#isOurs = true
    try {
      if (!this.#begin(headers, first, opened)) return
    } catch (error) {
      this.#fail(error)
      return
    }
    opened()
  }

  /** @returns whether the head is out; it may have to wait */
  #begin(headers: Headers, first: Chunk, opened: () => void): boolean {
    const res = this.#res
    if (isHttp2(res)) {
      // It has one unless it is gone, and then there is nothing to begin.
      this.#session = holdSession(res.stream.session!)
      res.writeHead(200, headers as Record<string, string>)
    } else if (isHttp1(res)) {
      if (res.socket === null) {
        // HTTP/1.1 pipelining: an earlier response is not finished. Node flushes after 'socket', hence the turn. It is
        // emitted in the context of that response's request, which is another's.
        waitingHeads.set(this, headers)
        const later = AsyncResource.bind(() => this.#open(headers, first, opened))
        res.once('socket', () => setImmediate(later))
        return false
      }
      // A stream is silent while nothing happens, which is no reason to cut it.
      this.#timeout = (res.socket as Partial<Socket>).timeout ?? 0
      res.socket.setTimeout?.(0)
      // Unread, it would keep the connection from being read, and the client's leaving from being noticed.
      if (hasBody(this.#req)) this.#req.resume()
      const persistent = this.#req.httpVersion === '1.1' && res.shouldKeepAlive
      res.writeHead(200, persistent ? { connection: 'keep-alive', ...headers } : headers)
    } else {
      ;(res as ServerResponse).writeHead(200, headers)
    }
    this.#hasHead = true
    if (isHttp1(res) && writesToSocket(res)) {
      this.#socket = res.socket
      // Head and first block in one packet.
      this.#socket.cork()
      res.flushHeaders()
      this.#socket.write(first.framed)
      this.#socket.uncork()
    } else {
      write(res, first)
    }
    return true
  }

  /**
   * Writes a chunk.
   *
   * @returns false when nothing more should be written before `onDrain`; this chunk is taken all the same
   */
  write(chunk: Chunk): boolean {
    return this.#write(chunk)
  }

  #write(chunk: Chunk): boolean {
    const socket = this.#socket
    this.#written += socket === undefined ? chunk.size : chunk.framed.length
    if (socket === undefined) return this.#writeToResponse(chunk)
    // Behind bytes that wait it may wait for long.
    const bytes = socket.writableLength > 0 ? chunk.compact : chunk.framed
    // What the kernel took at once is no backpressure, however large it was.
    return socket.write(bytes) || (socket.writable && socket.writableLength === 0) || this.#awaitDrain(socket)
  }

  #writeToResponse(chunk: Chunk): boolean {
    try {
      return write(this.#res, chunk) || this.#awaitDrain(this.#res)
    } catch (error) {
      this.#fail(error)
      return false
    }
  }

  /** Listens from the first time on that it is needed: most clients never are too slow. */
  #awaitDrain(emitter: Socket | Response): false {
    if (this.#onDrain === undefined) {
      this.#onDrain = () => this.drained()
      emitter.on('drain', this.#onDrain)
    }
    return false
  }

  /** Whether it takes nothing since it is busy with what it was given, not since the client is too slow. */
  get isBusy(): boolean {
    return false
  }

  /** Takes at once what it is busy with, and all that follows by that. */
  hurry(): void {}

  /** It takes bytes again. */
  protected drained(): void {
    if (!this.#ended) this.listener.onDrain()
  }

  /**
   * Writes a last chunk, if any, and ends a response that was taken over properly. `onClose` follows.
   *
   * @param isTimed whether it is cut where its bytes are not out in a second
   */
  end(last?: Chunk, isTimed = true): void {
    this.#ended = true
    try {
      this.#finish(last, isTimed)
    } catch (error) {
      this.listener.onFail(error)
      this.destroy()
    }
  }

  #finish(last: Chunk | undefined, isTimed: boolean): void {
    const res = this.#res
    // Both in one packet: the end uncorks.
    this.#socket?.cork()
    if (last !== undefined) this.#write(last)
    // For what follows on the connection. Node replaces it where nothing does.
    if (isHttp1(res)) res.socket?.setTimeout?.(this.#timeout)
    res.end()
    if (isTimed) this.#awaitClose()
  }

  /**
   * Ends a response that waits for its turn on the connection: those before it take the time they take. Then it is a
   * stream of one block, or 503 where there is none. A response that was not taken over is left to Fastify.
   *
   * @returns whether it is the answer
   */
  turnAway(block: string | undefined): boolean {
    this.#ended = true
    if (!this.#isOurs) return false
    const res = this.#res as ServerResponse
    // The block is not compressed.
    const { 'content-encoding': _, ...headers } = waitingHeads.get(this)!
    try {
      if (block === undefined) res.writeHead(503, { connection: 'close' }).end()
      else res.writeHead(200, { ...headers, connection: 'close' }).end(block)
    } catch (error) {
      this.listener.onFail(error)
      this.destroy()
    }
    return true
  }

  /** Headers of the request. */
  get headers(): IncomingHttpHeaders {
    return this.#req.headers
  }

  /** Fastify has handed the response over: nobody else would answer with an error, or end it. */
  #fail(error: unknown): void {
    this.listener.onFail(error)
    this.#ended = true
    try {
      if (!this.#hasHead && answerFailed(this.#res)) {
        this.#awaitClose()
        return
      }
    } catch {
      // Then it is cut.
    }
    this.destroy()
  }

  #awaitClose(): void {
    this.#grace = setTimeout(() => this.destroy(), END_GRACE)
    this.#grace.unref()
  }

  /**
   * Cuts the response: an end would wait behind bytes that a client does not take. `onClose` follows. Over HTTP/2 the
   * other streams of the connection go on.
   */
  destroy(): void {
    this.#ended = true
    const res = this.#res
    if (isHttp2(res)) {
      // By itself Node says NO_ERROR, and what was cut would look complete.
      res.stream?.close(constants.NGHTTP2_CANCEL)
      res.stream?.destroy()
    } else {
      res.destroy()
      this.#req.socket?.destroy()
    }
  }

  readonly #onClose = (): void => {
    this.#gone = true
    clearTimeout(this.#grace)
    const res = this.#res
    res.off('close', this.#onClose)
    if (this.#onDrain !== undefined) {
      res.off('drain', this.#onDrain)
      this.#socket?.off('drain', this.#onDrain)
    }
    if (isHttp1(res)) {
      offConnectionClose(this.#req.socket, this.#onClose)
      if (this.#hasHead) finish(res)
    } else if (this.#session !== undefined) {
      releaseSession(this.#session)
    }
    this.listener.onClose()
  }
}

function isHttp1(res: Response): res is ServerResponse {
  return res instanceof ServerResponse
}

export function isHttp2(res: Response): res is Http2ServerResponse {
  return res instanceof Http2ServerResponse
}

/**
 * Answers 500 by the methods of the response's class, as it has no others that are known to work, and without the
 * headers that are set on it. @returns false where a head is out already
 */
function answerFailed(res: Response): boolean {
  const { writeHead, end, removeHeader } = Object.getPrototypeOf(res) as ServerResponse
  const own = res as ServerResponse
  if (isHttp2(res) ? res.stream.headersSent : Reflect.get(ServerResponse.prototype, 'headersSent', res)) return false
  for (const name of own.getHeaderNames()) removeHeader.call(own, name)
  if (!isHttp2(res)) own.statusMessage = ''
  const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }
  writeHead.call(own, FAILED.statusCode, isHttp2(res) ? headers : { ...headers, connection: 'close' })
  ;(end as (body: string) => void).call(own, JSON.stringify(FAILED))
  return true
}

function hasBody({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0
}

function writesToSocket(res: ServerResponse): res is ServerResponse & { socket: Socket } {
  return (
    res.socket instanceof Socket &&
    res.chunkedEncoding &&
    res.write === ServerResponse.prototype.write &&
    res.end === ServerResponse.prototype.end
  )
}

/** Calls back once, when a response is out or its client has gone. @returns what has it not called back */
export function untilGone(req: Request, res: Response, callback: () => void): () => void {
  const gone = (): void => {
    forget()
    callback()
  }
  const forget = (): void => {
    res.off('close', gone)
    res.off('finish', gone)
    offConnectionClose(req.socket, gone)
  }
  res.once('close', gone)
  res.once('finish', gone)
  onConnectionClose(req.socket, gone)
  return forget
}

/**
 * A response that its client cuts emits 'close' and no 'finish' on HTTP/1 (it emits both on HTTP/2), and Fastify runs
 * `onResponse` on 'finish' alone. Nearly every stream ends by its client's leaving: that is how it finishes.
 */
function finish(res: ServerResponse): void {
  if (res.writableFinished || !(res.socket instanceof Socket)) return
  let finished = false
  res.once('finish', () => {
    finished = true
  })
  try {
    res.end()
  } catch {
    // It ends nothing any more: the client has gone.
  }
  // Without chunks an end has nothing to wait for, and finishes by itself.
  setImmediate(() => {
    if (!finished) res.emit('finish')
  })
}

/** The two response classes differ in the rest of their `write` alone. */
function write(res: Response, chunk: Chunk): boolean {
  return (res as ServerResponse).write(chunk.plain)
}

function noop(): void {}
