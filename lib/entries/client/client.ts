/**
 * The client for pages, as an app sees it. What connects to the server is in connection.ts, and in shared.ts for several tabs.
 *
 * @module pylon-sse/client
 */
import { Connection } from './connection.js'
import { type CursorStorage, environment, resolve } from './environment.js'
import type { AnyEvent, DataSchema, DeclaredEvents, Resync, SseEvent, WithOwnEvents } from './event.js'
import type { Address, Link, Sink } from './link.js'
import { ALL, Listeners, STATUS } from './listeners.js'
import { Loader } from './loader.js'
import { checkOptions } from './option-checks.js'
import type { AnyOptions, EventNames, SseOptions } from './options.js'
import type { ConnectionStatus, SseStatus } from './status.js'
import { SseTopics } from './topics.js'

export type { SseEvents } from '../../api/events.js'
export type { CursorStorage } from './environment.js'
export { SseError, type SseErrorCode } from './errors.js'
export type { AnyEvent, DataSchema, DeclaredEvents, Resync, SseEvent, WithOwnEvents } from './event.js'
export type { Address } from './link.js'
export type { ConnectionOptions, EventNames, HeaderFields, LoadContext, SseOptions, TopicChange } from './options.js'
export type { CloseReason, SseStatus } from './status.js'
export type { SseTopics } from './topics.js'

/**
 * Opens a stream and keeps it open. After a failure the client connects again and resumes after the last event. If events have been
 * lost, it gives a `resync`.
 *
 * @param url URL of the stream, relative to the page; or a function that returns it, called for each request
 * @param options see `SseOptions`
 * @returns the connection, at once: add listeners to it, and see `status` for its state
 * @throws TypeError if the URL is invalid, or an option is unknown or has the wrong type
 * @example
 * const live = connect('/events', { topics: ['orders.42'], load: async ({ signal }) => show(await getOrders(signal)) })
 * live.on('order.paid', (order, { id, topic }) => update(order))
 */
export function connect<Events extends object = DeclaredEvents, Loaded = unknown>(
  url: Address,
  options: SseOptions<Events, Loaded> = {}
): SseConnection<Events> {
  return new SseConnection(url, options)
}

/** A connection that `connect` has opened: its events, its state and its topics. */
export class SseConnection<Events extends object = DeclaredEvents>
  implements AsyncIterable<AnyEvent<WithOwnEvents<Events>>>
{
  /** The topics and patterns that the client is subscribed to: a Set that you can change at any time. */
  readonly topics: SseTopics
  readonly #options: AnyOptions
  readonly #listeners = new Listeners()
  /** Undefined while shared.ts is being loaded. */
  #link: Link | undefined
  readonly #closing = new AbortController()
  readonly #loader: Loader
  readonly #key: string
  readonly #queue: SseEvent[] = []
  #status: SseStatus = { state: 'connecting' }
  #lastEventId: string | undefined
  #whenRoom: (() => void) | undefined

  /** Opens a connection, as `connect` does. */
  constructor(url: Address, options: AnyOptions = {}) {
    checkOptions(options as never)
    const { topics = [], signal, shared, sharedKey = '' } = options
    this.#options = options
    this.#key = `pylon-sse ${typeof url === 'function' ? '' : resolve(url)}`
    this.#lastEventId = options.lastEventId ?? (this.#keep() || undefined)
    this.#loader = new Loader(options, this.#closing.signal, this.#listeners, () => {
      if (this.#status.state === 'open') this.#tell(this.#status)
    })
    this.topics = new SseTopics(topics, () => this.#link?.restart())
    const sink: Sink = {
      receive: (event) => {
        // An event stays in the queue until it has been passed on, so one that is not the first is reached by the loop that runs.
        if (this.#queue.push(event) === 1) void this.#pump()
      },
      room: () => {
        if (this.#queue.length >= this.#maxBuffered)
          return new Promise((resolve) => {
            this.#whenRoom = resolve
          })
        return undefined
      },
      tell: (status) => this.#tell(status),
      fail: (error) => this.#listeners.fail(error)
    }
    const from = { ...options, lastEventId: this.#lastEventId }
    const alone = () => new Connection(url, from, sink, this.topics)
    const { navigator, BroadcastChannel } = environment
    if (shared && navigator?.locks && BroadcastChannel) {
      const key = `${this.#key} ${sharedKey}`
      void import('./shared.js')
        .then(({ openShared }) => openShared(url, from, sink, this.topics, key))
        .catch(alone)
        .then((link) => {
          this.#link = link
          if (this.#closing.signal.aborted) link.close()
        })
    } else this.#link = alone()
    signal?.addEventListener('abort', () => this.close(), { signal: this.#closing.signal })
    if (signal?.aborted) this.close()
  }

  /** The state of the connection. `onStatus` tells when it changes. */
  get status(): SseStatus {
    return this.#status
  }

  /** The id of the last event that listeners have received. A client resumes after it. Undefined before the first connect. */
  get lastEventId(): string | undefined {
    return this.#lastEventId
  }

  /**
   * The id of the client on the server. It changes with each connection; undefined before the first, and if the server is not the
   * plugin. A broadcast with `except: clientId` leaves this client out.
   */
  get clientId(): string | undefined {
    return this.#link?.clientId
  }

  /**
   * Adds a callback for the events of a name. It gets the event's data and the event. If it throws, the error goes to the listeners of
   * `'error'`; the stream and other callbacks go on.
   *
   * Three names are not the app's: `'message'` for events without a name, `'resync'` when events have been missed (`load` runs after
   * it), and `'error'` when an attempt to connect, `load`, a callback or the check of a schema has failed. An error without a listener
   * is reported to the console.
   *
   * @returns a function that removes the callback
   */
  on<Name extends EventNames<Events>>(
    name: Name,
    callback: (data: WithOwnEvents<Events>[Name], event: SseEvent<Name, WithOwnEvents<Events>[Name]>) => void
  ): () => void
  on(name: 'error', callback: (error: unknown) => void): () => void
  on(name: string, callback: (data: never, event: never) => void): () => void {
    return this.#listeners.add(name, callback)
  }

  /** Adds a callback for all events, `resync` included. @returns a function that removes it */
  subscribe(callback: (event: AnyEvent<WithOwnEvents<Events>>) => void): () => void {
    return this.#listeners.add(ALL, callback)
  }

  /** Adds a callback for each new status. @returns a function that removes it */
  onStatus(callback: (status: SseStatus) => void): () => void {
    return this.#listeners.add(STATUS, callback)
  }

  /**
   * Iterates over the events from now on, `resync` included. When the connection is closed the iteration ends; if `status.error` is
   * set, it throws that. At most `maxBuffered` events wait for a slow loop. Past that the oldest are dropped, and a `resync` with
   * reason `'overflow'` takes their place.
   */
  [Symbol.asyncIterator](): AsyncIterator<AnyEvent<WithOwnEvents<Events>>, void, void> {
    // Holds events until iterate.ts is loaded, which only those need who use it.
    const early: SseEvent[] = []
    const off = this.subscribe((event) => early.push(event as SseEvent))
    const iterator = import('./iterate.js').then(({ iterate }) => iterate<Events>(this, early, this.#maxBuffered, off))
    return { next: async () => (await iterator).next(), return: async () => (await iterator).return() }
  }

  /** Closes the connection for good. After that only `onStatus` is called, once. Has no effect if it is already closed. */
  close(): void {
    if (this.#link) this.#link.close()
    else this.#tell({ state: 'closed', reason: 'closed', error: undefined })
  }

  /** Calls `close`, for `using` declarations. */
  [Symbol.dispose](): void {
    this.close()
  }

  get #maxBuffered(): number {
    return this.#options.maxBuffered ?? 1024
  }

  #tell(status: ConnectionStatus): void {
    if (this.#status.state === 'closed') return
    if (status.state === 'closed') {
      this.#closing.abort()
      this.#queue.length = 0
      this.#whenRoom?.()
    }
    this.#status = status.state === 'open' ? { ...status, loading: this.#loader.loading } : status
    this.#listeners.call(STATUS, this.#status)
  }

  /** Passes the queued events to the listeners in order. Each waits until `load` or a schema is done with the one before. */
  async #pump(): Promise<void> {
    while (this.#queue.length) {
      const event = this.#queue[0]!
      await this.#give(event)
      this.#queue.shift()
      if (this.#closing.signal.aborted) break
      this.#lastEventId = event.id ?? this.#lastEventId
      if (this.#queue.length < this.#maxBuffered) this.#whenRoom?.()
    }
    this.#keep(this.#lastEventId)
  }

  async #give(event: SseEvent): Promise<void> {
    const { event: name, data, id } = event
    if (name === 'resync') {
      this.#dispatch(event)
      await this.#loader.load((data as Resync).reason)
    } else if (name === 'connected') {
      // Without an id, a `resync` follows at once, and loads.
      if (id !== undefined) await this.#loader.load('connect')
    } else if (name !== 'keepalive') {
      const { isStale, schemas } = this.#options
      const schema: DataSchema | undefined = schemas?.[name]
      try {
        // Most apps have no schemas, and need not load this.
        const checked = schema ? await (await import('./validate.js')).validate(event, schema) : event
        if (!this.#closing.signal.aborted && !isStale?.(checked, this.#loader.loaded)) this.#dispatch(checked)
      } catch (error) {
        this.#listeners.fail(error)
      }
    }
  }

  #dispatch(event: SseEvent): void {
    this.#listeners.call(ALL, event)
    this.#listeners.call(event.event, event.data, event)
  }

  /** Stores the last event id, or reads it if `id` is undefined. */
  #keep(id?: string): string | null | undefined {
    const { storage } = this.#options
    try {
      const kept: CursorStorage | undefined = storage === true ? environment.sessionStorage : storage || undefined
      if (id === undefined) return kept?.getItem(this.#key)
      kept?.setItem(this.#key, id)
    } catch {
      // The storage is full or forbidden: nothing is stored.
    }
    return undefined
  }
}
