// The test client as a test sees it, which `listen` returns. What it has received is in stream-reader.ts.

import { callable, refuse, whole } from '../../api/input/checks.js'
import type { Connection } from './connection.js'
import { NotReceivedError } from './errors.js'
import {
  type AnyHeardEvent,
  type DeclaredEvents,
  type HeardEvent,
  type HeardName,
  heardEvent,
  type SseEvent
} from './event.js'
import { DEFAULT_TIMEOUT, type ListenOptions, timeoutOf, type WaitOptions } from './options.js'
import { requestFor, type StreamRequest } from './request.js'
import { StreamReader } from './stream-reader.js'

/** The response of the server. */
export interface ListenResponse {
  readonly status: number
  readonly headers: Headers
  /** The whole body; waits for its end. For responses that are not an event stream. @throws NotReceivedError */
  text(options?: WaitOptions): Promise<string>
  /** The whole body, as JSON; waits for its end. @throws NotReceivedError, SyntaxError */
  // biome-ignore lint/suspicious/noExplicitAny: a body of which nothing is known here
  json(options?: WaitOptions): Promise<any>
}

/** The data of the event that a stream begins with. */
export interface Connected {
  /** The client's id, for `except` and `app.sse.client`. */
  readonly client: string
  /** Interval of its keepalives, ms; 0 for none. */
  readonly keepAlive: number
}

/** Opens a connection for the request that feeds the reader. */
export type Open = (request: StreamRequest, reader: StreamReader<SseEvent>) => Connection | Promise<Connection>

/**
 * A client for tests, as `listen` returns it. Events are taken in order: each of `next`, `take` and `until` continues
 * after the event that the previous one has returned.
 *
 * Every wait rejects with a `NotReceivedError` after its `timeout`, and at once if what it waits for can no longer
 * come. The message says what was awaited, and what has come. If what comes is not an event stream, such as bytes that
 * are not UTF-8, it rejects with a `BrokenStreamError`.
 */
export class SseListener<Events extends object = DeclaredEvents> {
  readonly #reader: StreamReader<SseEvent>
  readonly #open: Open
  readonly #path: string
  readonly #options: ListenOptions
  readonly #onAbort = () => void this.close()
  #connection: Connection | undefined
  #isStalled = false
  #isClosed = false

  /** @internal */
  constructor(open: Open, path: string, options: ListenOptions) {
    this.#open = open
    this.#path = path
    this.#options = options
    this.#reader = new StreamReader({ interpret: heardEvent, patience: options.timeout ?? DEFAULT_TIMEOUT })
  }

  /** Opens the first connection. @internal */
  async begin(): Promise<this> {
    const { signal } = this.#options
    signal?.throwIfAborted()
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    await this.#connect()
    return this
  }

  // -- what has come

  /** All events that have come, taken or not: the app's, `resync` and `stay-away`; not `connected` and `keepalive`. */
  get all(): readonly AnyHeardEvent<Events>[] {
    return this.#reader.events as AnyHeardEvent<Events>[]
  }

  /** The comments that have come: `'connected'`, `'keepalive'`, and those that tell of an event. */
  get comments(): readonly string[] {
    return this.#reader.comments
  }

  /** The reconnection time that the server has asked for, ms; undefined if it has not. */
  get retry(): number | undefined {
    return this.#reader.retries.at(-1)
  }

  /** What a browser would send in `Last-Event-ID` if it reconnected now; undefined before the first id. */
  get lastEventId(): string | undefined {
    return this.#reader.lastEventId || this.#options.lastEventId
  }

  /** Whether the server has ended the stream properly. False if the connection has only been lost. */
  get ended(): boolean {
    return this.#reader.ended
  }

  /** The response of the server; after `resume()` that to the new request. */
  get response(): ListenResponse {
    const reader = this.#reader
    const { status, headers } = reader
    const text = async (options: WaitOptions = {}) => {
      await reader.waitForEnd(timeoutOf(options))
      return reader.body
    }
    return { status, headers, text, json: async (options) => JSON.parse(await text(options)) }
  }

  // -- what is to come

  /** The next event with this name; events before it are skipped. `'message'` is an event without a name. */
  next<Name extends HeardName<Events>>(name: Name, options?: WaitOptions): Promise<HeardEvent<Events, Name>>
  /** The next event, whatever its name. */
  next(options?: WaitOptions): Promise<AnyHeardEvent<Events>>
  async next(name?: string | WaitOptions, options: WaitOptions = {}): Promise<SseEvent> {
    if (typeof name === 'string') return this.#reader.named(name, timeoutOf(options))
    return this.#reader.next(timeoutOf(name ?? options))
  }

  /** The next `count` events, whatever their names. */
  async take(count: number, options: WaitOptions = {}): Promise<AnyHeardEvent<Events>[]> {
    whole(1)('count', count)
    return (await this.#reader.take(count, timeoutOf(options))) as AnyHeardEvent<Events>[]
  }

  /**
   * The next event for which `predicate` returns true; events before it are skipped. Rejects with what `predicate`
   * throws.
   */
  async until(
    predicate: (event: AnyHeardEvent<Events>) => boolean,
    options: WaitOptions = {}
  ): Promise<AnyHeardEvent<Events>> {
    callable('predicate', predicate)
    const isIt = predicate as (event: SseEvent) => boolean
    return (await this.#reader.until(isIt, timeoutOf(options))) as AnyHeardEvent<Events>
  }

  /**
   * Resolves if no event comes for `ms`, or none with this name. Events that have come already and are not taken count.
   *
   * @throws UnexpectedEventError as soon as one comes; the message shows it
   * @throws NotReceivedError if the stream ends meanwhile, or the response is not a stream: then silence proves
   *   nothing
   */
  async none(ms: number, name?: HeardName<Events>): Promise<void> {
    whole(1)('ms', ms)
    if (name !== undefined && typeof name !== 'string') refuse('name', name, 'the name of an event')
    await this.#reader.none(ms, name)
  }

  /**
   * The client's id, and the interval of keepalives, with which the stream begins. After `resume()` those of the new
   * one.
   */
  async connected(options: WaitOptions = {}): Promise<Connected> {
    return (await this.#reader.connected(timeoutOf(options))).data as Connected
  }

  /** Resolves when the server has ended the stream properly. @throws NotReceivedError if the connection is lost instead */
  async end(options: WaitOptions = {}): Promise<void> {
    await this.#reader.waitForEnd(timeoutOf(options))
  }

  // -- what the client does

  /**
   * Stops reading, as a suspended laptop does. The server sees backpressure once the buffers in between are full: some
   * 5 MB over TCP, 64 KiB over HTTP/2 and `inject`. Until `resume()` the client notices nothing, not even the end.
   */
  stall(): void {
    this.#isStalled = true
    this.#connection?.pause()
  }

  /** Resets the connection. Resolves when the app has noticed, if it is in this process. */
  async cut(): Promise<void> {
    this.#connection?.cut()
    await this.#gone()
  }

  /**
   * Reads on after `stall()`. If the connection is gone (by `cut()`, or since the server has ended it), reconnects with
   * the last event id, as an EventSource does. Otherwise it has no effect.
   *
   * @throws NotReceivedError if no response comes
   */
  async resume(): Promise<void> {
    if (this.#isClosed) throw new NotReceivedError('The listener is closed; call listen() again.')
    if (this.#isStalled) {
      this.#isStalled = false
      this.#connection?.resume()
    }
    if (!this.#reader.ended && !this.#reader.isClosed) return
    await this.#gone()
    await this.#connect()
  }

  /**
   * Closes the connection for good, as when a tab is closed. Resolves when the app has noticed, if it is in this
   * process.
   */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#connection?.close()
    await this.#gone()
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  // -- inner

  async #connect(): Promise<void> {
    this.#reader.begin()
    try {
      this.#connection = await this.#open(requestFor(this.#path, this.#options, this.lastEventId), this.#reader)
      if (this.#isClosed) this.#connection.close()
      await this.#reader.head()
      if (this.#isStalled) this.#connection.pause()
    } catch (error) {
      await this.close()
      this.#options.signal?.throwIfAborted()
      throw error
    }
  }

  async #gone(): Promise<void> {
    await this.#connection?.released
  }
}
