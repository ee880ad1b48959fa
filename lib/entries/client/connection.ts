// A connection to the server that is kept. An attempt is in attempt.ts; a connection that tabs share is in shared.ts.

import { Attempt } from './attempt.js'
import { NEVER, retryAfter } from './backoff.js'
import { isHidden } from './environment.js'
import { AGAIN, End } from './errors.js'
import type { SseEvent } from './event.js'
import type { Address, Link, Sink } from './link.js'
import type { ConnectionOptions } from './options.js'
import { onPageEvent } from './page-events.js'
import { Pause } from './pause.js'
import { Requests } from './requests.js'
import { Subscriptions } from './subscriptions.js'

/** The shortest silence after which a connection counts as dead, ms: timers are late on a busy machine. */
const LEAST_SILENCE = 1000

/** Connects again after each attempt, and resumes after the last event, until it is closed or the server ends it. */
export class Connection implements Link {
  /** The id of the last event that has come. */
  lastEventId: string | undefined
  clientId: string | undefined
  readonly sink: Sink
  readonly subscriptions: Subscriptions
  readonly requests: Requests
  readonly pause: Pause
  readonly #options: ConnectionOptions
  readonly #offPageEvents: () => void
  #attempt: Attempt | undefined
  #isClosed = false
  /** Whether the pause may end early. It may not if the server has said how long it is. */
  #isWakeable = true

  /** @param tell `'subscriptions'`, if the server shall tell what its app subscribes the client to */
  constructor(url: Address, options: ConnectionOptions, sink: Sink, topics: ReadonlySet<string>, tell?: string) {
    this.lastEventId = options.lastEventId
    this.sink = sink
    this.subscriptions = new Subscriptions(topics, tell)
    this.requests = new Requests(url, options, this.subscriptions)
    this.pause = new Pause(options.retryDelay, options.maxRetryDelay)
    this.#options = options
    this.#offPageEvents = onPageEvent(this.#onPageEvent)
    void this.#run()
  }

  /** The topics have changed: has the server change them, or connects again at once. */
  restart(): void {
    const { changeTopics: change } = this.#options
    const attempt = this.#attempt
    if (this.pause.end) this.pause.end()
    else if (change && attempt?.isOpen && this.clientId) {
      import('./change-topics.js')
        .then(({ changeTopics }) => changeTopics(this, attempt, change))
        .catch((error) => {
          if (attempt.signal.aborted) return
          this.sink.fail(error)
          attempt.abort(AGAIN)
        })
    } else attempt?.abort(AGAIN)
  }

  close(): void {
    this.#end(new End('closed'))
    this.#attempt?.abort()
  }

  /** Takes an event of the current attempt. The first one opens the connection. */
  receive(event: SseEvent, attempt: Attempt): void {
    if (attempt.signal.aborted) return
    if (event.event === 'stay-away') throw new End('stay-away')
    if (!attempt.isOpen) {
      // Servers other than the plugin send no `connected`.
      const { client, keepAlive } = Object(event.event === 'connected' ? event.data : undefined)
      this.clientId = client
      attempt.watchdog.watch(keepAlive > 0 ? Math.max(2 * keepAlive, LEAST_SILENCE) : NEVER)
      attempt.isOpen = true
      this.pause.failures = 0
      this.requests.hasAsked = false
      this.sink.tell({ state: 'open', transport: attempt.transport })
    }
    this.lastEventId = event.id ?? this.lastEventId
    this.sink.receive(event)
  }

  async #run(): Promise<void> {
    // The caller of `connect` can add listeners first, or close it.
    await undefined
    while (!this.#isClosed) {
      if (this.#options.pauseWhenHidden && isHidden()) {
        await this.#wait(NEVER)
        continue
      }
      const attempt = new Attempt(this, this.#attempt?.isHeldBack ? 'pages' : 'stream')
      // A listener may close the connection, which then aborts this attempt.
      this.#attempt = attempt
      this.sink.tell({ state: 'connecting' })
      const error = await attempt.run()
      if (this.#isClosed) return
      // The app can still read the body of the answer that has ended it.
      if (!(error instanceof End && error.error)) attempt.abort()
      if (error instanceof End) return this.#end(error)
      if (error === AGAIN) continue
      if (error !== undefined) this.sink.fail(error)
      if (attempt.isHeldBack) continue
      const delay = retryAfter(error)
      await this.#wait(delay ?? this.pause.next(), error, delay === undefined)
    }
  }

  async #wait(ms: number, error?: unknown, isWakeable = true): Promise<void> {
    this.#isWakeable = isWakeable
    const over = this.pause.take(ms)
    this.sink.tell({ state: 'waiting', retryAt: Date.now() + ms, error })
    await over
  }

  #end({ reason, error }: End): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#offPageEvents()
    this.#attempt?.watchdog.stop()
    this.pause.end?.()
    this.sink.tell({ state: 'closed', reason, error })
  }

  readonly #onPageEvent = (isHiding: boolean, isBack: boolean | undefined): void => {
    const attempt = this.#attempt
    // While a machine sleeps the timer of the watchdog may stand still.
    const isDead = attempt?.isOpen && (isBack || attempt.watchdog.left < 0)
    if (isHiding ? this.#options.pauseWhenHidden : isDead) attempt?.abort(AGAIN)
    else if (!isHiding && this.#isWakeable) this.pause.end?.()
  }
}
