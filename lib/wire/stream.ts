// The event stream of one response: its chunks, drain, and end. Compression is in gzip-stream.ts.

import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { Chunk } from '../log/chunk.js'
import { offConnectionClose, onConnectionClose } from './connection-close.js'
import { holdSession, releaseSession } from './http2-sessions.js'
import {
  type Headers,
  isHttp1,
  isHttp2,
  onTurn,
  type Request,
  type Response,
  write,
  writeHttp1Headers,
  writesToSocket
} from './response.js'
import { answerClosing, answerFailed, cut, finish } from './response-end.js'
import type { StreamListener } from './stream-listener.js'

/** Response headers of streams that wait for their turn on a pipelined connection. A map, since few have to wait. */
const waitingHeads = new WeakMap<EventStream, Headers>()

/** 'close' follows every error. Without a listener the error would end the process. */
const ignore = () => {}

/** Time that an ended stream has to send its last bytes, ms. */
const END_GRACE = 1000

/**
 * Writes the chunks of one client to its response. Hot, hence its many fields: every write goes through it.
 *
 * On HTTP/1.1 frames are written to the socket, already in chunked coding, so that all clients share one Buffer and a
 * write costs one system call. That is allowed only while the socket belongs to this response: after its headers and
 * before its end. Everything else (HTTP/2, HTTP/1.0, `inject`, a response whose `write` a plugin has wrapped, a
 * response class of another `serverFactory`) goes through the response's own `write`.
 *
 * This class keeps its own state, since plugins replace `headersSent`, `write`, `end` and `writeHead`. No error that
 * they throw leaves it.
 */
export class EventStream {
  /** The socket, if frames are written to it. The fields that every write reads come first. */
  #socket: Socket | undefined
  /** Bytes written so far. Then, as of the last `hasTaken`: bytes that had left Node's buffer, and bytes in the handle's queue. */
  #written = 0
  #taken = 0
  #queued = 0
  /** Time of the last write, ms. A whole number, since V8 allocates memory for others. */
  #lastWrite = 0
  readonly #req: Request
  readonly #res: Response
  protected readonly listener: StreamListener
  #session: Http2Session | undefined
  /** The timeout of the connection before the stream, which it gets back at the end, ms. */
  #timeout = 0
  /** Whether the response has been taken over. */
  #isOurs = false
  /** Whether the response headers have been written. */
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
    // A response that waits for its turn on a pipelined connection does not emit 'close' when the connection closes.
    if (isHttp1(res) && res.socket === null) onConnectionClose(req.socket, this.#onClose)
    res.on('error', ignore)
  }

  /** Whether the stream is over, ended here or by the client. */
  get closed(): boolean {
    return this.#ended || this.#gone
  }

  /** Whether the client has gone. */
  get gone(): boolean {
    return this.#gone
  }

  /** Time of the last write, ms, by `performance.now()`; 0 before the response headers have been sent. */
  get lastWrite(): number {
    return this.#lastWrite
  }

  /** Whether the client has taken bytes since the last call, or has none to take. */
  hasTaken(): boolean {
    // A response of another server may lack `writableLength`.
    const { writableLength = 0 } = this.#socket ?? this.#res
    const taken = this.#written - writableLength
    // During a large write `writableLength` stays the same. The handle's queue shrinks, which Node's timeouts look at as well.
    const socket: (Socket & { _handle?: { writeQueueSize?: number } }) | undefined = this.#socket
    const queued = socket?._handle?.writeQueueSize ?? 0
    const hasTaken = writableLength === 0 || taken > this.#taken || queued !== this.#queued
    this.#taken = taken
    this.#queued = queued
    return hasTaken
  }

  /**
   * Takes the response over. Headers and first chunk are sent as soon as it is this response's turn on the connection.
   * Then `opened` is called; never if the stream closes before.
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

  /** Sends the headers. @returns false if they have to wait for earlier responses of the connection */
  #begin(headers: Headers, first: Chunk, opened: () => void): boolean {
    const res = this.#res
    if (isHttp2(res)) {
      // There is a session unless the stream is gone, and then `closed` was true.
      this.#session = holdSession(res.stream.session!)
      res.writeHead(200, headers as Record<string, string>)
    } else if (isHttp1(res)) {
      if (res.socket === null) {
        waitingHeads.set(this, headers)
        onTurn(res, () => this.#open(headers, first, opened))
        return false
      }
      this.#timeout = writeHttp1Headers(this.#req, res, headers)
    } else {
      ;(res as ServerResponse).writeHead(200, headers)
    }
    this.#hasHead = true
    this.#lastWrite = Math.ceil(performance.now())
    if (isHttp1(res) && writesToSocket(res)) {
      this.#socket = res.socket
      // Headers and first chunk in one packet.
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
   * Writes a chunk. @param now ms, by `performance.now()`
   * @returns false if nothing more should be written before `onDrain`; the chunk is accepted either way
   */
  write(chunk: Chunk, now: number): boolean {
    this.#lastWrite = Math.ceil(now)
    return this.#write(chunk)
  }

  #write(chunk: Chunk): boolean {
    const socket = this.#socket
    this.#written += socket === undefined ? chunk.size : chunk.framed.length
    if (socket === undefined) return this.#writeToResponse(chunk)
    // A chunk behind waiting bytes may be held for long, so it should not keep a shared slab alive.
    const bytes = socket.writableLength > 0 ? chunk.compact : chunk.framed
    // If the kernel took all of it at once there is no backpressure, whatever `write` returned.
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

  /** Listens for 'drain', from the first time that it is needed: most clients are never too slow. */
  #awaitDrain(emitter: Socket | Response): false {
    if (this.#onDrain === undefined) {
      this.#onDrain = () => this.drained()
      emitter.on('drain', this.#onDrain)
    }
    return false
  }

  /** Whether it takes nothing because it is compressing, and not because the client is too slow. */
  get isBusy(): boolean {
    return false
  }

  /** Finishes compressing at once, and compresses synchronously from then on. */
  hurry(): void {}

  /** Called when the socket takes bytes again. */
  protected drained(): void {
    if (!this.#ended) this.listener.onDrain()
  }

  /**
   * Writes a last chunk, if any, and ends the response properly. `onClose` follows.
   * @param isTimed whether the response is cut if its bytes are not out within a second
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
    // The last chunk and the end go in one packet: `end` uncorks.
    this.#socket?.cork()
    if (last !== undefined) this.#write(last)
    // For further requests on the connection. Node replaces it if there are none.
    if (isHttp1(res)) res.socket?.setTimeout?.(this.#timeout)
    res.end()
    if (isTimed) this.#awaitClose()
  }

  /**
   * Ends a response that waits for its turn on a pipelined connection: it becomes a stream of one block, or 503 without one.
   * @returns whether the request is answered by this; a response that was not taken over is left to Fastify
   */
  turnAway(block: string | undefined): boolean {
    this.#ended = true
    if (!this.#isOurs) return false
    try {
      answerClosing(this.#res as ServerResponse, waitingHeads.get(this)!, block)
    } catch (error) {
      this.listener.onFail(error)
      this.destroy()
    }
    return true
  }

  /** The request's headers. */
  get headers(): IncomingHttpHeaders {
    return this.#req.headers
  }

  /** Answers with an error if no headers have been sent, or else cuts the response. After `hijack` Fastify does neither. */
  #fail(error: unknown): void {
    this.listener.onFail(error)
    this.#ended = true
    try {
      if (!this.#hasHead && answerFailed(this.#res)) {
        this.#awaitClose()
        return
      }
    } catch {
      // Not even the error can be written, so the response is cut.
    }
    this.destroy()
  }

  #awaitClose(): void {
    this.#grace = setTimeout(() => this.destroy(), END_GRACE)
    this.#grace.unref()
  }

  /**
   * Cuts the response; a proper end would wait behind bytes that the client does not take. `onClose` follows. Over HTTP/2
   * the other streams of the connection go on.
   */
  destroy(): void {
    this.#ended = true
    cut(this.#req, this.#res)
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
