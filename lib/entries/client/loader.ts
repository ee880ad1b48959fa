// Calls the app's `load`, again after a failure. When it is called is decided in client.ts.

import type { Resync } from './event.js'
import type { Listeners } from './listeners.js'
import type { AnyOptions } from './options.js'
import { Pause } from './pause.js'

/** The option `load` of one connection. */
export class Loader {
  loading = false
  /** What `load` has resolved with. */
  loaded: unknown
  readonly #options: AnyOptions
  readonly #signal: AbortSignal
  readonly #listeners: Listeners
  readonly #pause: Pause
  #hasLoaded = false
  /** Called when `loading` has changed. */
  readonly #changed: () => void

  /** @param signal aborts when the connection is closed */
  constructor(options: AnyOptions, signal: AbortSignal, listeners: Listeners, changed: () => void) {
    this.#options = options
    this.#signal = signal
    this.#listeners = listeners
    this.#pause = new Pause(options.retryDelay, options.maxRetryDelay)
    this.#changed = changed
    signal.addEventListener('abort', () => this.#pause.end?.())
  }

  /** Resolves when `load` has succeeded, or the connection has been closed. Only the first connect loads. */
  async load(reason: 'connect' | Resync['reason']): Promise<void> {
    const { load } = this.#options
    const signal = this.#signal
    if (!load || (reason === 'connect' && this.#hasLoaded)) return
    this.#hasLoaded = true
    this.#pause.failures = 0
    this.loading = true
    this.#changed()
    while (!signal.aborted) {
      try {
        this.loaded = await load({ signal, reason })
        break
      } catch (error) {
        if (signal.aborted) break
        const over = this.#pause.take(this.#pause.next())
        this.#listeners.fail(error)
        await over
      }
    }
    this.loading = false
    this.#changed()
  }
}
