// The requests of a connection: their address and headers, and what a status means. What follows from it is in connection.ts.

import { resolve } from './environment.js'
import { AGAIN, End, SseError } from './errors.js'
import type { Address, Query } from './link.js'
import type { ConnectionOptions, HeaderFields } from './options.js'
import type { Transport } from './status.js'
import type { Subscriptions } from './subscriptions.js'
import type { Watchdog } from './watchdog.js'

/** Whom a request is sent for. */
interface Sender {
  readonly signal: AbortSignal
  readonly transport: Transport
  readonly watchdog: Watchdog
}

/** Sends the requests of all attempts: a token that `onUnauthorized` has given is used from then on. */
export class Requests {
  /** Whether `onUnauthorized` has been called since the connection was open: it is not called twice in a row. */
  hasAsked = false
  readonly #url: Address
  readonly #options: ConnectionOptions
  readonly #subscriptions: Subscriptions
  /** Headers that `onUnauthorized` has returned. */
  #fresh: HeaderFields | undefined

  constructor(url: Address, options: ConnectionOptions, subscriptions: Subscriptions) {
    this.#url = url
    this.#options = options
    this.#subscriptions = subscriptions
  }

  /**
   * Sends a request.
   *
   * @param wait how long the server may hold the request, ms
   * @returns an answer that can be read: a 2xx, or a 410 for a page
   * @throws End, SseError, AGAIN for any other answer; what the app's functions and `fetch` throw
   */
  async send({ signal, transport, watchdog }: Sender, query: Query, wait = 0): Promise<Response> {
    const { headers, fetch = globalThis.fetch, credentials = 'same-origin', openTimeout = 10_000 } = this.#options
    const address = resolve(typeof this.#url === 'function' ? await this.#url() : this.#url)
    for (const topic of this.#subscriptions.ask()) address.searchParams.append('topic', topic)
    for (const name in query) if (query[name]) address.searchParams.set(name, query[name])
    const fields = new Headers(typeof headers === 'function' ? await headers() : headers)
    for (const [name, value] of new Headers(this.#fresh)) fields.set(name, value)
    fields.set('accept', transport === 'stream' ? 'text/event-stream' : 'application/json')
    if (signal.aborted) throw signal.reason
    watchdog.watch(openTimeout + wait)
    const init = { headers: fields, credentials, cache: 'no-store', signal } as RequestInit
    const response = await fetch(address.href, init)
    const { ok, status } = response
    if ((ok && status !== 204) || (status === 410 && transport === 'pages')) return response
    watchdog.stop()
    if (status === 204) throw new End('completed')
    const error = new SseError('status', `The server has answered ${status}.`, { response })
    if (status === 401 || status === 403) {
      const { onUnauthorized } = this.#options
      const fresh = this.hasAsked || !onUnauthorized ? false : await onUnauthorized({ response, signal })
      this.hasAsked = true
      if (fresh === false) throw new End('unauthorized', error)
      if (fresh) this.#fresh = fresh
      throw signal.aborted ? signal.reason : AGAIN
    }
    const isRefused = status >= 400 && status < 500 && status !== 429
    // Where pages are refused, the server has none: the stream is tried again.
    throw isRefused && transport === 'stream' ? new End('refused', error) : error
  }
}
