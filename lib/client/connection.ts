import { createParser } from 'eventsource-parser'
import { backoff, MAX_DELAY, NEVER, retryAfter } from './backoff.js'
import { environment } from './environment.js'
import { SseError } from './errors.js'
import type { SseEvent } from './event.js'
import type { ConnectionOptions, HeaderFields } from './options.js'
import type { CloseReason, ConnectionStatus } from './status.js'

/** Where a connection leads. */
export interface Sink {
  /** Takes an event, one of the plugin's own included: `connected`, `keepalive`, `resync`. */
  receive(event: SseEvent): void
  /** Resolves when it takes more; nothing, where it does at once. */
  room(): Promise<void> | undefined
  tell(status: ConnectionStatus): void
  fail(error: unknown): void
}

export type Query = Record<string, string | undefined>

export type Address = string | URL | (() => string | URL | Promise<string | URL>)

/** What a client hears by. */
export interface Link {
  /** Its id on the server, for the option `except` of broadcasts. */
  readonly clientId: string | undefined
  /** Its topics have changed. */
  restart(): void
  close(): void
}

/** The reason of an abort after which it connects again at once. */
const AGAIN = Symbol()
/** Silence is at least so long, ms: timers are late on a busy machine. */
const LEAST_SILENCE = 1000

/** The end for good. */
class End {
  readonly reason: CloseReason
  readonly error: unknown

  constructor(reason: CloseReason, error?: unknown) {
    this.reason = reason
    this.error = error
  }
}

/** One connection to the server, which it keeps: it resumes from the last event id until it is told to end. */
export class Connection implements Link {
  /** The last id that it was told. */
  lastEventId: string | undefined
  /** Its id on the server, for the option `except` of broadcasts. */
  clientId: string | undefined
  /** What the app on the server has subscribed it to, where it asks to be told. */
  readonly given = new Set<string>()
  readonly #url: Address
  readonly #options: ConnectionOptions
  readonly #sink: Sink
  readonly #topics: ReadonlySet<string>
  readonly #tellsGiven: boolean
  #attempt = new AbortController()
  #isClosed = false
  #isOpen = false
  #transport: 'stream' | 'pages' = 'stream'
  /** Whether no byte of the stream has come, so that pages are tried. */
  #isHeldBack = false
  /** Reconnection time, ms. */
  #retry: number
  /** Attempts in vain since it was open. */
  #failures = 0
  /** What the server has asked for before the next attempt, ms. */
  #delay: number | undefined
  /** Whether `onUnauthorized` has been asked since it was open, and the headers that it has given. */
  #hasAsked = false
  #fresh: HeaderFields | undefined
  /** Ends the wait before the next attempt, where that may be ended. */
  #wake: (() => void) | undefined
  #isWakeable = true
  #watch: ReturnType<typeof setTimeout> | undefined
  /** When the last byte came, ms since 1970: what measures time otherwise may stand still while a machine sleeps. */
  #byteAt = 0
  /** How long it may be silent, ms. */
  #patience = 0

  /** @param tellsGiven whether it keeps `given` */
  constructor(url: Address, options: ConnectionOptions, sink: Sink, topics: ReadonlySet<string>, tellsGiven = false) {
    this.#tellsGiven = tellsGiven
    this.#url = url
    this.#options = options
    this.#sink = sink
    this.#topics = topics
    this.lastEventId = options.lastEventId
    this.#retry = options.retryDelay ?? 1000
    this.#listen('addEventListener')
    void this.#run()
  }

  /** Connects anew, at once, from where it is. */
  restart(): void {
    if (this.#wake === undefined) this.#attempt.abort(AGAIN)
    else this.#wake()
  }

  close(): void {
    this.#end(new End('closed'))
    this.#attempt.abort()
  }

  async #run(): Promise<void> {
    // Whoever has called `connect` may close it, and listens first.
    await undefined
    while (!this.#isClosed) {
      if (this.#options.pauseWhenHidden && isHidden()) {
        await this.#sleep(NEVER)
        continue
      }
      this.#sink.tell({ state: 'connecting' })
      this.#attempt = new AbortController()
      const { signal } = this.#attempt
      let error: unknown
      const isHeldBack = this.#isHeldBack
      this.#isHeldBack = false
      this.given.clear()
      try {
        await (isHeldBack ? this.#readPages(signal) : this.#read(signal))
      } catch (thrown) {
        error = signal.aborted ? signal.reason : thrown
      }
      // Another server's, which has no pages.
      if (isHeldBack && error instanceof End && error.reason === 'refused') error = error.error
      this.#isOpen = false
      this.#stopWatch()
      if (this.#isClosed) return
      // Its answer can still be read.
      if (error instanceof End && error.error !== undefined) return this.#end(error)
      this.#attempt.abort()
      if (error instanceof End) return this.#end(error)
      if (error === AGAIN) continue
      if (error !== undefined) this.#sink.fail(error)
      if (this.#isHeldBack) continue
      await this.#sleep(this.#delay ?? this.#backoff(), error, this.#delay === undefined)
      this.#delay = undefined
    }
  }

  #backoff(): number {
    return backoff(this.#retry, this.#failures++, this.#options.maxRetryDelay ?? 30_000)
  }

  #end({ reason, error }: End): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#listen('removeEventListener')
    this.#stopWatch()
    this.#wake?.()
    this.#sink.tell({ state: 'closed', reason, error })
  }

  /** @param isWakeable whether an event such as `online` ends it */
  #sleep(ms: number, error?: unknown, isWakeable = true): Promise<void> {
    this.#sink.tell({ state: 'waiting', retryAt: Date.now() + ms, error })
    return new Promise((resolve) => {
      // Not unref'd in Node: what listens wants to go on. A longer delay than a timer takes is cut.
      const timer = ms < NEVER ? setTimeout(() => this.#wake!(), Math.min(ms, MAX_DELAY)) : undefined
      this.#isWakeable = isWakeable
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
    })
  }

  #listen(method: 'addEventListener' | 'removeEventListener'): void {
    for (const type of ['online', 'pageshow']) environment[method]?.(type, this.#onWake)
    environment.document?.[method]?.('visibilitychange', this.#onWake)
  }

  readonly #onWake = ({ type, persisted }: { type: string; persisted?: boolean }): void => {
    if (type === 'visibilitychange' && isHidden()) {
      if (this.#options.pauseWhenHidden) this.#attempt.abort(AGAIN)
      return
    }
    if (this.#wake !== undefined) {
      if (this.#isWakeable) this.#wake()
      return
    }
    // What was open before the network went, or before the page was put aside, is most often dead.
    const isDoubtful = type === 'online' || persisted === true || Date.now() - this.#byteAt > this.#patience
    if (this.#isOpen && isDoubtful) this.#attempt.abort(AGAIN)
  }

  async #read(signal: AbortSignal): Promise<void> {
    this.#transport = 'stream'
    const tell = this.#tellsGiven ? 'subscriptions' : undefined
    const response = await this.#request('text/event-stream', { lastEventId: this.lastEventId, tell }, signal)
    const type = response.headers.get('content-type')
    if (!type?.startsWith('text/event-stream') || response.body === null) {
      throw new SseError('content-type', `The answer is no event stream, but ${type}.`, { response })
    }
    let topic: string | undefined
    let isText = false
    const parser = createParser({
      onRetry: (ms) => {
        this.#retry = ms
      },
      onComment: (comment) => {
        if (comment === 'text') isText = true
        // A topic may hold spaces.
        const at = comment.indexOf(' ')
        const [word, rest] = [comment.slice(0, at), comment.slice(at + 1)]
        if (word === 'topic') topic = rest
        else if (word === 'subscribed') this.given.add(rest)
        else if (word === 'unsubscribed') this.given.delete(rest)
      },
      onEvent: ({ id, event = 'message', data }) => {
        const received = { event, data: isText ? data : parse(data), id, topic }
        topic = undefined
        isText = false
        if (!signal.aborted) this.#receive(received)
      }
    })
    const reader = response.body.getReader()
    const decoder = new TextDecoder()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      this.#byteAt = Date.now()
      parser.feed(decoder.decode(value, { stream: true }))
      const room = this.#sink.room()
      if (room !== undefined) {
        // Nothing is read, so nothing can be heard.
        this.#stopWatch()
        await room
      }
      if (signal.aborted) throw signal.reason
      if (room !== undefined) this.#watchFor(this.#patience)
    }
  }

  async #readPages(signal: AbortSignal): Promise<void> {
    const { readPages } = await import('./pages.js')
    this.#transport = 'pages'
    await readPages(
      {
        since: this.lastEventId,
        request: (query, wait) => this.#request('application/json', query, signal, wait),
        receive: (event) => {
          if (!signal.aborted) this.#receive(event)
        },
        room: () => {
          this.#stopWatch()
          return this.#sink.room()
        }
      },
      signal
    )
    throw AGAIN
  }

  #receive(event: SseEvent): void {
    if (event.event === 'stay-away') throw new End('stay-away')
    if (!this.#isOpen) {
      // Other servers than the plugin's do not tell.
      const { client, keepAlive } = Object(event.event === 'connected' ? event.data : undefined)
      this.clientId = client
      this.#watchFor(keepAlive > 0 ? Math.max(2 * keepAlive, LEAST_SILENCE) : NEVER)
      this.#isOpen = true
      this.#failures = 0
      this.#hasAsked = false
      this.#sink.tell({ state: 'open', transport: this.#transport })
    }
    this.lastEventId = event.id ?? this.lastEventId
    this.#sink.receive(event)
  }

  async #request(accept: string, query: Query, signal: AbortSignal, wait = 0): Promise<Response> {
    const { headers, fetch = globalThis.fetch, credentials = 'same-origin', openTimeout = 10_000 } = this.#options
    const address = resolve(typeof this.#url === 'function' ? await this.#url() : this.#url)
    for (const topic of this.#topics) address.searchParams.append('topic', topic)
    for (const name in query) if (query[name]) address.searchParams.set(name, query[name])
    const fields = new Headers(typeof headers === 'function' ? await headers() : headers)
    for (const [name, value] of new Headers(this.#fresh)) fields.set(name, value)
    fields.set('accept', accept)
    if (signal.aborted) throw signal.reason
    this.#watchFor(openTimeout + wait)
    const init = { headers: fields, credentials, cache: 'no-store', signal } as RequestInit
    const response = await fetch(address.href, init)
    await this.#check(response, signal)
    return response
  }

  /** @throws End, SseError, AGAIN where the answer is none to read */
  async #check(response: Response, signal: AbortSignal): Promise<void> {
    const { status } = response
    if ((response.ok && status !== 204) || (status === 410 && this.#transport === 'pages')) return
    this.#stopWatch()
    if (status === 204) throw new End('completed')
    const error = new SseError('status', `The server has answered ${status}.`, { response })
    if (status === 401 || status === 403) {
      const { onUnauthorized } = this.#options
      const fresh = this.#hasAsked || onUnauthorized === undefined ? false : await onUnauthorized({ response, signal })
      this.#hasAsked = true
      if (fresh === false) throw new End('unauthorized', error)
      if (fresh) this.#fresh = fresh
      throw signal.aborted ? signal.reason : AGAIN
    }
    if (status === 429 || status === 503) this.#delay = retryAfter(response)
    else if (status >= 400 && status < 500) throw new End('refused', error)
    throw error
  }

  /** Calls for an end of the silence after so many ms. */
  #watchFor(ms: number): void {
    this.#stopWatch()
    this.#patience = ms
    this.#byteAt = Date.now()
    if (ms < NEVER) this.#watch = setTimeout(this.#onWatch, ms)
  }

  readonly #onWatch = (): void => {
    const left = this.#byteAt + this.#patience - Date.now()
    if (left > 0) this.#watch = setTimeout(this.#onWatch, left)
    else {
      this.#isHeldBack = !this.#isOpen && this.#transport === 'stream'
      this.#attempt.abort(new SseError('silent', `Nothing has come for ${this.#patience} ms.`))
    }
  }

  #stopWatch(): void {
    clearTimeout(this.#watch)
  }
}

/** @throws TypeError where it is no URL */
export function resolve(url: string | URL): URL {
  return new URL(url, environment.document?.baseURI ?? environment.location?.href)
}

function isHidden(): boolean {
  return environment.document?.visibilityState === 'hidden'
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
