import { backoff, sleep } from './backoff.js'
import { Connection } from './connection.js'
import { type CursorStorage, environment, resolve } from './environment.js'
import type { AnyEvent, DataSchema, DeclaredEvents, Resync, SseEvent, WithOwnEvents } from './event.js'
import type { Address, Link, Sink } from './link.js'
import { ALL, Listeners, STATUS } from './listeners.js'
import { checkOptions } from './option-checks.js'
import type { EventNames, SseOptions } from './options.js'
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
 * Opens a stream and keeps it: it resumes after every failure that may pass, and misses nothing, or says so.
 *
 * @param url of the stream, relative to the page; or a function that gives it, called for each request
 * @param options see `SseOptions`
 * @returns what to listen to, at once; `status` tells how the connection does
 * @throws TypeError where the URL is none, or an option is unknown or of the wrong type
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

// biome-ignore lint/suspicious/noExplicitAny: the types of the app's events and state are those of what it gets
type AnyOptions = SseOptions<any, any>

/** A stream that `connect` has opened, and what listens to it. */
export class SseConnection<Events extends object = DeclaredEvents>
  implements AsyncIterable<AnyEvent<WithOwnEvents<Events>>>
{
  /** The topics that it hears: a Set that may be changed at any time. */
  readonly topics: SseTopics
  readonly #options: AnyOptions
  readonly #listeners = new Listeners()
  /** None while what shares it is loaded. */
  #link: Link | undefined
  readonly #closing = new AbortController()
  readonly #key: string
  readonly #queue: SseEvent[] = []
  #status: SseStatus = { state: 'connecting' }
  #lastEventId: string | undefined
  #isPumping = false
  #isLoading = false
  #hasLoaded = false
  #loaded: unknown
  #whenRoom: (() => void) | undefined

  /** As `connect` does. */
  constructor(url: Address, options: AnyOptions = {}) {
    checkOptions(options as never)
    const { topics = [], signal, shared, sharedKey = '' } = options
    this.#options = options
    this.#key = `pylon-sse ${typeof url === 'function' ? '' : resolve(url)}`
    this.#lastEventId = options.lastEventId ?? (this.#keep() || undefined)
    this.topics = new SseTopics(topics, () => this.#link?.restart())
    const sink: Sink = {
      receive: (event) => {
        this.#queue.push(event)
        void this.#pump()
      },
      room: () => (this.#queue.length < this.#maxBuffered ? undefined : this.#room()),
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
    signal?.addEventListener('abort', this.#onAbort)
    if (signal?.aborted) this.close()
  }

  /** How the connection does. */
  get status(): SseStatus {
    return this.#status
  }

  /** The id of the last event that has been given out, to resume from; none before the first connect. */
  get lastEventId(): string | undefined {
    return this.#lastEventId
  }

  /** Its id on the server, another one with each connection: an event that is broadcast with `except: clientId` does not come here. */
  get clientId(): string | undefined {
    return this.#link?.clientId
  }

  /**
   * Calls back for each event of a name, with its data and the event. What the callback throws is told as an `error`, and stops
   * nothing. Names beside the app's own: `'message'` for events without a name; `'resync'`, after which `load` runs, for events
   * that have been missed; `'error'` for what has failed: an attempt to connect, `load`, a callback, data that a schema refuses.
   * An error that nobody listens to is reported to the console.
   *
   * @returns what ends it
   */
  on<Name extends EventNames<Events>>(
    name: Name,
    callback: (data: WithOwnEvents<Events>[Name], event: SseEvent<Name, WithOwnEvents<Events>[Name]>) => void
  ): () => void
  on(name: 'error', callback: (error: unknown) => void): () => void
  on(name: string, callback: (data: never, event: never) => void): () => void {
    return this.#listeners.add(name, callback)
  }

  /** Calls back for each event, `resync` included. @returns what ends it */
  subscribe(callback: (event: AnyEvent<WithOwnEvents<Events>>) => void): () => void {
    return this.#listeners.add(ALL, callback)
  }

  /** Calls back with each new status. @returns what ends it */
  onStatus(callback: (status: SseStatus) => void): () => void {
    return this.#listeners.add(STATUS, callback)
  }

  /**
   * The events from now on, `resync` included, until the connection is closed; it then throws `status.error`, if there is one. It
   * holds at most `maxBuffered` events; past that it loses the oldest, and gives a `resync` of reason `'overflow'` in their place.
   */
  [Symbol.asyncIterator](): AsyncIterator<AnyEvent<WithOwnEvents<Events>>, void, void> {
    const early: SseEvent[] = []
    const off = this.subscribe((event) => early.push(event as SseEvent))
    // Loaded by those alone who use it.
    const iterator = import('./iterate.js').then(({ iterate }) => iterate<Events>(this, early, this.#maxBuffered, off))
    return { next: async () => (await iterator).next(), return: async () => (await iterator).return() }
  }

  /** Ends it for good. Nothing is called back any more but `onStatus`, once. Without effect where it has ended. */
  close(): void {
    if (this.#link === undefined) this.#tell({ state: 'closed', reason: 'closed', error: undefined })
    else this.#link.close()
  }

  /** As `close`, for `using`, where the platform knows that symbol. */
  [Symbol.dispose](): void {
    this.close()
  }

  get #maxBuffered(): number {
    return this.#options.maxBuffered ?? 1024
  }

  readonly #onAbort = (): void => this.close()

  #tell(status: ConnectionStatus): void {
    if (this.#status.state === 'closed') return
    if (status.state === 'closed') {
      this.#closing.abort()
      this.#options.signal?.removeEventListener('abort', this.#onAbort)
      this.#queue.length = 0
      this.#whenRoom?.()
    }
    this.#status = status.state === 'open' ? { ...status, loading: this.#isLoading } : status
    this.#listeners.call(STATUS, this.#status)
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenRoom = resolve
    })
  }

  /** Gives out what has come, in order, each event when the one before is through. */
  async #pump(): Promise<void> {
    if (this.#isPumping) return
    this.#isPumping = true
    for (let event = this.#queue[0]; event !== undefined; event = this.#queue[0]) {
      await this.#give(event)
      this.#queue.shift()
      if (this.#closing.signal.aborted) break
      this.#lastEventId = event.id ?? this.#lastEventId
      if (this.#queue.length < this.#maxBuffered) this.#whenRoom?.()
    }
    this.#isPumping = false
    this.#keep(this.#lastEventId)
  }

  async #give(event: SseEvent): Promise<void> {
    const { event: name, data, id } = event
    if (name === 'resync') {
      this.#dispatch(event)
      await this.#load((data as Resync).reason)
    } else if (name === 'connected') {
      // Without an id a `resync` is about to come.
      if (!this.#hasLoaded && id !== undefined) await this.#load('connect')
    } else if (name !== 'keepalive') {
      const { isStale, schemas } = this.#options
      const schema: DataSchema | undefined = schemas?.[name]
      try {
        // Loaded by those alone who use it.
        const checked = schema ? await (await import('./validate.js')).validate(event, schema) : event
        if (!this.#closing.signal.aborted && !isStale?.(checked, this.#loaded)) this.#dispatch(checked)
      } catch (error) {
        this.#listeners.fail(error)
      }
    }
  }

  #dispatch(event: SseEvent): void {
    this.#listeners.call(ALL, event)
    this.#listeners.call(event.event, event.data, event)
  }

  async #load(reason: 'connect' | Resync['reason']): Promise<void> {
    const { load, retryDelay = 1000, maxRetryDelay = 30_000 } = this.#options
    const { signal } = this.#closing
    this.#setLoading(load !== undefined)
    for (let failures = 0; load !== undefined && !signal.aborted; failures++) {
      try {
        this.#loaded = await load({ signal, reason })
        break
      } catch (error) {
        if (signal.aborted) break
        this.#listeners.fail(error)
        await sleep(backoff(retryDelay, failures, maxRetryDelay), signal)
      }
    }
    this.#hasLoaded = true
    this.#setLoading(false)
  }

  #setLoading(isLoading: boolean): void {
    if (isLoading === this.#isLoading) return
    this.#isLoading = isLoading
    if (this.#status.state === 'open') this.#tell(this.#status)
  }

  /** Uses what is there to keep the last event id: it may be full, or forbidden. */
  #keep(id?: string): string | null | undefined {
    const { storage } = this.#options
    try {
      const kept: CursorStorage | undefined = storage === true ? environment.sessionStorage : storage || undefined
      if (id === undefined) return kept?.getItem(this.#key)
      kept?.setItem(this.#key, id)
    } catch {
      // Then nothing is kept.
    }
    return undefined
  }
}
