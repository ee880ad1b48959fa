// The callbacks of a connection.

import { environment } from './environment.js'

type Listener = (...args: never[]) => void

/** Callbacks by event name. If one throws, the others are called all the same. */
export class Listeners {
  readonly #byName = new Map<string, Set<Listener>>()

  /** @returns a function that removes it */
  add(name: string, listener: Listener): () => void {
    // Wrapped, so that the same callback can be added twice.
    const own: Listener = (...args) => listener(...args)
    const listeners = this.#byName.get(name) ?? new Set()
    this.#byName.set(name, listeners.add(own))
    return () => listeners.delete(own)
  }

  call(name: string, ...args: unknown[]): void {
    for (const listener of [...(this.#byName.get(name) ?? [])]) {
      try {
        listener(...(args as never[]))
      } catch (error) {
        this.fail(error, name)
      }
    }
  }

  /**
   * Calls the listeners of `'error'`. Without any, or if one of them has thrown the error, it is reported to the console.
   *
   * @param name the event whose listener has thrown
   */
  fail(error: unknown, name?: string): void {
    if (name !== ERROR && this.#byName.get(ERROR)?.size) this.call(ERROR, error)
    else (environment.reportError ?? console.error)(error)
  }
}

/** Names of lists. No event can have them: a field ends at a line feed, and the plugin refuses events called `error`. */
export const ERROR = 'error'
export const ALL = '\n*'
export const STATUS = '\n?'
