// The connection of one client: writes, backpressure, and every way in which it ends. What is written is decided in follower.ts.

import type { DisconnectReason } from '../../api/errors.js'
import { type Chunk, OwnChunk } from '../../log/chunk.js'
import { encodeFarewell, type Farewell } from '../../log/encode.js'
import { GzipStream } from '../../wire/gzip-stream.js'
import type { Headers } from '../../wire/response.js'
import { EventStream } from '../../wire/stream.js'
import type { StreamListener } from '../../wire/stream-listener.js'
import type { Arrival, CareLimits, ClientContext } from './client-context.js'
import type { Slot } from './ip-limit.js'

/**
 * One connection: its response, its timestamps, backpressure, and the ways in which it ends. What is written to it is decided in
 * follower.ts. This class is hot: the fields that every flush reads come first, close together in memory.
 */
export abstract class Connection implements StreamListener {
  protected readonly context: ClientContext
  /** Whether the socket is full. */
  #isBlocked = false
  #ended = false
  #isPaused = false
  #opened = false
  readonly #stream: EventStream
  /**
   * Last time at which the client was seen to have taken bytes, or to have none to take, ms, by `performance.now()`. A whole
   * number, since V8 allocates memory for others.
   */
  #takenAt = 0
  /** Time at which the response headers were sent. Same clock. */
  #openedAt = 0
  /** Thousandths of `maxConnectionAge` by which it ends earlier: clients that came together should not return together. */
  readonly #ageCut = Math.floor(Math.random() * 200)
  readonly #slot: Slot
  #endReason: DisconnectReason | undefined
  #onGone: (() => void) | undefined

  constructor(context: ClientContext, { slot, compressed, req, res }: Arrival) {
    this.context = context
    this.#slot = slot
    this.#stream = compressed ? new GzipStream(req, res, this) : new EventStream(req, res, this)
  }

  /** Whether the stream has ended, on either side. */
  get closed(): boolean {
    return this.#ended
  }

  /** Time at which the response headers were sent, ms, by `performance.now()`. */
  get openedAt(): number {
    return this.#openedAt
  }

  /** Whether the response has closed. */
  get gone(): boolean {
    return this.#stream.gone
  }

  /** Whether more may be written now. */
  get takesMore(): boolean {
    return !this.#isBlocked && !this.#ended
  }

  /** Whether nothing is written until `resume`. */
  get isPaused(): boolean {
    return this.#isPaused
  }

  /** Whether the response headers have been sent, and more may be written now. */
  protected get isReady(): boolean {
    return this.#opened && this.takesMore
  }

  protected get isBlocked(): boolean {
    return this.#isBlocked
  }

  protected get endReason(): DisconnectReason | undefined {
    return this.#endReason
  }

  get stream(): EventStream {
    return this.#stream
  }

  /** Writes everything that there is for the client, until its socket is full. */
  protected abstract flush(): void
  /** Writes a keepalive. */
  protected abstract keepAlive(now: number): void
  /** Called once the response headers have been sent. */
  protected abstract onOpened(): void
  /** Called when nothing more may be written for now: the socket is full, or a chunk is being compressed. */
  protected abstract onBlocked(): void
  /** Called when more may be written again. */
  protected abstract onUnblocked(): void
  /** Called once, when the stream has ended. */
  protected abstract onEnded(reason: DisconnectReason): void
  /** Called when the socket is full after the wait for compression. */
  abstract onFull(): void
  /** Called when the response has thrown. */
  protected abstract onResponseFailed(error: unknown): void

  /** Sends the response headers and a first chunk. Calls `opened` then, or never if the client disconnects before. */
  protected openWith(headers: Headers, first: Chunk, opened: () => void): void {
    this.#stream.open(headers, first, () => {
      this.#opened = true
      this.context.counters.bytes += first.size
      this.#openedAt = this.#takenAt = Math.ceil(performance.now())
      this.onOpened()
      opened()
    })
  }

  /** Sends a keepalive if the connection is quiet, cuts it if it is stuck, and ends it if it is too old. */
  tend(now: number, { keepAliveInterval, stallTimeout, maxConnectionAge }: CareLimits): void {
    // A slow client may take bytes without a `drain`.
    if (this.#stream.hasTaken()) this.#takenAt = Math.ceil(now)
    if (now - this.#takenAt >= stallTimeout) this.cutFor('stalled')
    else if (now - this.#openedAt >= maxConnectionAge * (1 - this.#ageCut / 1000)) this.end('aged')
    else if (this.#isQuiet(now, keepAliveInterval)) {
      // Events that were broadcast in this turn keep the connection alive, too.
      this.flush()
      if (this.#isQuiet(now, keepAliveInterval)) this.keepAlive(now)
    }
  }

  /**
   * Ends the stream properly.
   *
   * @param farewell what the last block tells the client; none by default
   */
  end(reason: DisconnectReason, farewell?: Farewell): void {
    if (this.#ended) return
    // Everything that was broadcast or sent before belongs to this stream.
    this.flush()
    this.#stream.hurry()
    this.endHere(reason, farewell)
  }

  /** As `end`, without the events that it has yet to read. */
  protected endHere(reason: DisconnectReason, farewell?: Farewell): void {
    this.finish(reason)
    const last = farewell === undefined ? undefined : new OwnChunk(encodeFarewell(farewell))
    if (last !== undefined && this.#opened) this.context.counters.bytes += last.size
    // When the app closes, `Clients` cuts those that take too long: thousands of timers would fire in one turn.
    this.#stream.end(last, reason !== 'shutdown')
  }

  /** Destroys the connection. */
  protected cutFor(reason: DisconnectReason): void {
    this.finish(reason)
    this.#stream.destroy()
  }

  /** Destroys the connection because the app closes, if its last bytes are still unsent. */
  cut(): void {
    if (!this.gone) this.cutFor('shutdown')
  }

  /** Resolves when the response has closed. */
  whenGone(): Promise<void> {
    return new Promise((resolve) => {
      this.#onGone = resolve
    })
  }

  /** Treats the socket as full until `resume`: the client falls behind as if it did not read. */
  pause(): void {
    if (this.#ended || this.#isPaused) return
    this.#isPaused = true
    this.block()
  }

  /** Ends the pause. */
  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.onDrain()
  }

  onDrain(): void {
    if (this.#isPaused) {
      this.onFull()
      return
    }
    this.#isBlocked = false
    if (!this.context.isClosing) this.onUnblocked()
  }

  onFail(error: unknown): void {
    this.onResponseFailed(error)
    this.finish('error')
  }

  onClose(): void {
    this.finish('disconnected')
    this.#onGone?.()
  }

  /** Writes a chunk. It is taken in any case; nothing more may be written if the socket is full then. */
  write(chunk: Chunk, now: number): void {
    this.context.counters.bytes += chunk.size
    if (!this.#stream.write(chunk, now)) this.block()
  }

  /** Every end of a stream passes through here. Has no effect the second time. */
  protected finish(reason: DisconnectReason): void {
    if (this.#ended) return
    this.#ended = true
    this.#endReason = reason
    this.#slot.release()
    this.onEnded(reason)
  }

  /** Takes the socket for full until `onDrain`. Call it when a write has returned false. */
  block(): void {
    this.#isBlocked = true
    // The response may have thrown.
    if (!this.#ended) this.onBlocked()
  }

  #isQuiet(now: number, keepAliveInterval: number): boolean {
    return !this.#isBlocked && !this.#ended && now - this.#stream.lastWrite >= keepAliveInterval
  }
}
