import { environment } from './environment.js'

type Listener = (...args: never[]) => void

/** Callbacks by name. What one of them throws reaches no other. */
export class Listeners {
  readonly #byName = new Map<string, Set<Listener>>()

  /** @returns what takes it away again */
  add(name: string, listener: Listener): () => void {
    // One of its own, so that a callback may be there twice.
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

  /** Tells of an error; where nobody listens, or the error is a listener's to errors, the console is told. */
  fail(error: unknown, name?: string): void {
    if (name !== ERROR && this.#byName.get(ERROR)?.size) this.call(ERROR, error)
    else (environment.reportError ?? console.error)(error)
  }
}

/** Names of lists that no event has: the plugin refuses events of the first one. */
export const ERROR = 'error'
export const ALL = '\n*'
export const STATUS = '\n?'
