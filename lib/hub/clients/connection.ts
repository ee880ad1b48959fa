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
 * One connection: its response, its clock, whether it takes bytes, and the ways in which it ends. What it is given is decided in
 * `Client`. Hot: the fields that every flush looks at come first, close together in memory.
 */
export abstract class Connection implements StreamListener {
  protected readonly context: ClientContext
  /** Whether its socket is full. */
  #isBlocked = false
  #ended = false
  #isPaused = false
  #opened = false
  readonly #stream: EventStream
  /** When it was last written to, ms on the clock of `performance.now()`. Whole ones: others take memory of their own. */
  #lastWrite = 0
  /** When it was last seen to have taken bytes, or to have none to take, same clock. */
  #takenAt = 0
  /** When the response headers were sent, same clock. */
  #openedAt = 0
  /** Thousandths of `maxConnectionAge` by which it ends earlier, so that clients that came at once do not all go at once. */
  readonly #ageCut = Math.floor(Math.random() * 200)
  readonly #slot: Slot
  #endReason: DisconnectReason | undefined
  #onGone: (() => void) | undefined

  constructor(context: ClientContext, { slot, compressed, req, res }: Arrival) {
    this.context = context
    this.#slot = slot
    this.#stream = compressed ? new GzipStream(req, res, this) : new EventStream(req, res, this)
  }

  /** Whether it has ended, on either side. */
  get closed(): boolean {
    return this.#ended
  }

  /** When the response headers were sent, ms on the clock of `performance.now()`. */
  get openedAt(): number {
    return this.#openedAt
  }

  /** Whether the network is through with the stream. */
  get gone(): boolean {
    return this.#stream.gone
  }

  /** Whether it takes more bytes now. */
  get takesMore(): boolean {
    return !this.#isBlocked && !this.#ended
  }

  /** Whether it is given nothing until `resume`. */
  get isPaused(): boolean {
    return this.#isPaused
  }

  /** Whether the response headers have been sent, and it takes more bytes now. */
  protected get isReady(): boolean {
    return this.#opened && this.takesMore
  }

  protected get isBlocked(): boolean {
    return this.#isBlocked
  }

  protected get endReason(): DisconnectReason | undefined {
    return this.#endReason
  }

  protected get stream(): EventStream {
    return this.#stream
  }

  /** Gives the client all that there is for it, as far as its socket takes the bytes. */
  protected abstract flush(): void
  /** Gives the client a keepalive. */
  protected abstract keepAlive(now: number): void
  /** The response headers have been sent. */
  protected abstract onOpened(): void
  /** It takes no more bytes for now, as with a full socket. */
  protected abstract onBlocked(): void
  /** It takes bytes again. */
  protected abstract onUnblocked(): void
  /** It is over. */
  protected abstract onEnded(reason: DisconnectReason): void
  abstract onFull(): void
  protected abstract onResponseFailed(error: unknown): void

  /** Sends the response headers and a first chunk; calls `opened` then, or never if the client goes before. */
  protected openWith(headers: Headers, first: Chunk, opened: () => void): void {
    this.#stream.open(headers, first, () => {
      this.#opened = true
      this.context.counters.bytes += first.size
      this.#openedAt = this.#takenAt = this.#lastWrite = Math.ceil(performance.now())
      this.onOpened()
      opened()
    })
  }

  /** Keeps a quiet connection alive, cuts a stuck one, and ends an old one. */
  tend(now: number, { keepAliveInterval, stallTimeout, maxConnectionAge }: CareLimits): void {
    // It may take bytes, if fewer than make it drain.
    if (this.#stream.hasTaken()) this.#takenAt = Math.ceil(now)
    if (now - this.#takenAt >= stallTimeout) this.cutFor('stalled')
    else if (now - this.#openedAt >= maxConnectionAge * (1 - this.#ageCut / 1000)) this.end('aged')
    else if (this.#isQuiet(now, keepAliveInterval)) {
      // What was broadcast within this turn keeps the connection alive, too.
      this.flush()
      if (this.#isQuiet(now, keepAliveInterval)) this.keepAlive(now)
    }
  }

  /**
   * Ends the stream properly.
   *
   * @param farewell what the client is told last, if anything
   */
  end(reason: DisconnectReason, farewell?: Farewell): void {
    if (this.#ended) return
    // What was broadcast or sent before belongs to the stream that ends here.
    this.flush()
    this.#stream.hurry()
    this.endHere(reason, farewell)
  }

  /** As `end`, without what it has yet to read. */
  protected endHere(reason: DisconnectReason, farewell?: Farewell): void {
    this.finish(reason)
    const last = farewell === undefined ? undefined : new OwnChunk([encodeFarewell(farewell)])
    if (last !== undefined && this.#opened) this.context.counters.bytes += last.size
    // When the app closes, `Clients` cuts those that take too long: thousands of timers would fall into one turn.
    this.#stream.end(last, reason !== 'shutdown')
  }

  /** Cuts the connection. */
  protected cutFor(reason: DisconnectReason): void {
    this.finish(reason)
    this.#stream.destroy()
  }

  /** Cuts it for the closing of the app, where its last bytes are not out. */
  cut(): void {
    if (!this.gone) this.cutFor('shutdown')
  }

  /** Resolves when the network is through with the stream. */
  whenGone(): Promise<void> {
    return new Promise((resolve) => {
      this.#onGone = resolve
    })
  }

  /** Treats the socket as full until `resume`: the client falls behind as one does that does not read. */
  pause(): void {
    if (this.#ended || this.#isPaused) return
    this.#isPaused = true
    this.#block()
  }

  /** Lets the client read on. */
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

  protected write(chunk: Chunk, now: number): void {
    this.#lastWrite = Math.ceil(now)
    this.context.counters.bytes += chunk.size
    if (!this.#stream.write(chunk)) this.#block()
  }

  /** The only way out. Has no effect the second time. */
  protected finish(reason: DisconnectReason): void {
    if (this.#ended) return
    this.#ended = true
    this.#endReason = reason
    this.#slot.release()
    this.onEnded(reason)
  }

  #block(): void {
    this.#isBlocked = true
    // Its response may have thrown.
    if (!this.#ended) this.onBlocked()
  }

  #isQuiet(now: number, keepAliveInterval: number): boolean {
    return !this.#isBlocked && !this.#ended && now - this.#lastWrite >= keepAliveInterval
  }
}
