import { backoff, MAX_DELAY, NEVER, retryAfter } from './backoff.js'
import { environment, isHidden, resolve } from './environment.js'
import { End, SseError } from './errors.js'
import type { SseEvent } from './event.js'
import type { Address, Link, Query, Sink } from './link.js'
import type { ConnectionOptions, HeaderFields } from './options.js'
import type { Transport } from './status.js'
import { streamParser } from './stream-parser.js'
import { Watchdog } from './watchdog.js'

/** The reason of an abort after which it connects again at once. */
const AGAIN = Symbol()
/** Silence is at least so long, ms: timers are late on a busy machine. */
const LEAST_SILENCE = 1000

/** One connection to the server, which it keeps: it resumes from the last event id until it is told to end. */
export class Connection implements Link {
  /** The last id that it was told. */
  lastEventId: string | undefined
  /** Its id on the server, for the option `except` of broadcasts. */
  clientId: string | undefined
  /** The topics that it has asked for: some of them may be wanted no more. */
  asked = new Set<string>()
  /** What the app on the server has subscribed it to, where it asks to be told. */
  readonly given = new Set<string>()
  readonly #url: Address
  readonly #options: ConnectionOptions
  readonly #sink: Sink
  readonly #topics: ReadonlySet<string>
  readonly #tellsGiven: boolean
  /** Topics that `changeTopics` has asked for, until the server tells that it has subscribed the client to them. */
  readonly #changed = new Set<string>()
  /** The attempt whose topics are being changed. */
  #changing: AbortSignal | undefined
  #attempt = new AbortController()
  #isClosed = false
  #isOpen = false
  #transport: Transport = 'stream'
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
  readonly #watchdog = new Watchdog(() => {
    this.#isHeldBack = !this.#isOpen && this.#transport === 'stream'
    this.#attempt.abort(new SseError('silent', `Nothing has come for ${this.#watchdog.patience} ms.`))
  })

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

  /** Its topics have changed: they are changed on the server, or it connects anew, at once, from where it is. */
  restart(): void {
    const { changeTopics } = this.#options
    if (this.#wake !== undefined) this.#wake()
    else if (changeTopics && this.#isOpen && this.clientId !== undefined) void this.#change(changeTopics)
    else this.#attempt.abort(AGAIN)
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
      this.#changed.clear()
      try {
        await (isHeldBack ? this.#readPages(signal) : this.#read(signal))
      } catch (thrown) {
        error = signal.aborted ? signal.reason : thrown
      }
      // Another server's, which has no pages.
      if (isHeldBack && error instanceof End && error.reason === 'refused') error = error.error
      this.#isOpen = false
      this.#watchdog.stop()
      if (this.#isClosed) return
      if (error instanceof End) {
        // An answer that ends it can still be read.
        if (error.error === undefined) this.#attempt.abort()
        return this.#end(error)
      }
      this.#attempt.abort()
      if (error === AGAIN) continue
      if (error !== undefined) this.#sink.fail(error)
      if (this.#isHeldBack) continue
      await this.#sleep(this.#delay ?? this.#backoff(), error, this.#delay === undefined)
      this.#delay = undefined
    }
  }

  async #change(changeTopics: NonNullable<ConnectionOptions['changeTopics']>): Promise<void> {
    const { signal } = this.#attempt
    if (this.#changing === signal) return
    this.#changing = signal
    try {
      // Several changes in a row are one.
      await undefined
      while (!signal.aborted) {
        const add = [...this.#topics].filter((topic) => !this.asked.has(topic))
        // What the app has given stays, where others hear it, too.
        const remove = [...this.asked].filter((topic) => !this.#topics.has(topic) && !this.given.has(topic))
        if (!add.length && !remove.length) break
        // Its events may come before the answer.
        for (const topic of add) this.#changed.add(topic) && this.asked.add(topic)
        await changeTopics({ clientId: this.clientId!, add, remove, signal })
        for (const topic of remove) this.asked.delete(topic)
      }
      // Who waits for the new topics hears them now.
      if (!signal.aborted) this.#sink.receive({ event: 'keepalive', id: undefined, topic: undefined, data: {} })
    } catch (error) {
      if (!signal.aborted) {
        this.#sink.fail(error)
        this.#attempt.abort(AGAIN)
      }
    }
    if (this.#changing === signal) this.#changing = undefined
  }

  #backoff(): number {
    return backoff(this.#retry, this.#failures++, this.#options.maxRetryDelay ?? 30_000)
  }

  #end({ reason, error }: End): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#listen('removeEventListener')
    this.#watchdog.stop()
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
    const hides = type === 'visibilitychange' && isHidden()
    // What was open before the network went, or before the page was put aside, is most often dead.
    const isDoubtful = type === 'online' || persisted || this.#watchdog.left < 0
    if (hides ? this.#options.pauseWhenHidden : this.#isOpen && isDoubtful) this.#attempt.abort(AGAIN)
    else if (!hides && this.#isWakeable) this.#wake?.()
  }

  async #read(signal: AbortSignal): Promise<void> {
    this.#transport = 'stream'
    const tell = this.#tellsGiven ? 'subscriptions' : undefined
    const response = await this.#request('text/event-stream', { lastEventId: this.lastEventId, tell }, signal)
    const type = response.headers.get('content-type')
    if (!type?.startsWith('text/event-stream') || response.body === null) {
      throw new SseError('content-type', `The answer is no event stream, but ${response.body && type}.`, { response })
    }
    const parser = streamParser({
      onRetry: (ms) => {
        this.#retry = ms
      },
      onSubscription: (topic, isSubscribed) => {
        if (!isSubscribed) this.given.delete(topic)
        else if (!this.#changed.delete(topic)) this.given.add(topic)
      },
      onEvent: (event) => {
        if (!signal.aborted) this.#receive(event)
      }
    })
    const reader = response.body.getReader()
    const decoder = new TextDecoder()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      this.#watchdog.feed()
      parser.feed(decoder.decode(value, { stream: true }))
      const room = this.#sink.room()
      if (room !== undefined) {
        // Nothing is read, so nothing can be heard.
        this.#watchdog.stop()
        await room
      }
      if (signal.aborted) throw signal.reason
      if (room !== undefined) this.#watchdog.watch()
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
          this.#watchdog.stop()
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
      this.#watchdog.watch(keepAlive > 0 ? Math.max(2 * keepAlive, LEAST_SILENCE) : NEVER)
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
    this.asked = new Set(this.#topics)
    for (const topic of this.asked) address.searchParams.append('topic', topic)
    for (const name in query) if (query[name]) address.searchParams.set(name, query[name])
    const fields = new Headers(typeof headers === 'function' ? await headers() : headers)
    for (const [name, value] of new Headers(this.#fresh)) fields.set(name, value)
    fields.set('accept', accept)
    if (signal.aborted) throw signal.reason
    this.#watchdog.watch(openTimeout + wait)
    const init = { headers: fields, credentials, cache: 'no-store', signal } as RequestInit
    const response = await fetch(address.href, init)
    await this.#check(response, signal)
    return response
  }

  /** @throws End, SseError, AGAIN where the answer is none to read */
  async #check(response: Response, signal: AbortSignal): Promise<void> {
    const { status } = response
    if ((response.ok && status !== 204) || (status === 410 && this.#transport === 'pages')) return
    this.#watchdog.stop()
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
}
