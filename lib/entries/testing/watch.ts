// Waits of the test client: promises that check a state whenever it changes.

import { deferred } from './deferred.js'
import { NotReceivedError, UnexpectedEventError } from './errors.js'
import { clearTimeout, queueMicrotask, setTimeout } from './timers.js'

/** This folder, as stack traces name it. */
const HERE = new URL('.', import.meta.url).href

/** Promises that wait for a state that changes. */
export class Watch {
  readonly #looks = new Set<() => void>()
  readonly #describe: () => string
  readonly #patience: number
  #isDue = false

  /**
   * @param describe returns what has come so far, for the error of a wait that fails
   * @param patience how long a wait may take by default, ms
   */
  constructor(describe: () => string, patience: number) {
    this.#describe = describe
    this.#patience = patience
  }

  /**
   * Call it after each change. Waits check in the order in which they began, so that two waits for the next event get
   * two events, and only after all of a packet has been read.
   */
  changed(): void {
    if (this.#isDue) return
    this.#isDue = true
    queueMicrotask(() => {
      this.#isDue = false
      for (const look of this.#looks) look()
    })
  }

  /**
   * Resolves with what `look` finds, now or after a change. If `look` throws, the wait ends at once: what is awaited
   * can no longer come.
   *
   * @throws NotReceivedError if nothing is found for `ms`
   */
  until<T>(look: () => T | undefined, what: string | (() => string), ms: number = this.#patience): Promise<T> {
    return this.#wait(look, ms, ({ reject }) => {
      const awaited = typeof what === 'string' ? what : what()
      reject(new NotReceivedError(`Waited ${ms} ms for ${awaited}. ${this.#describe()}`))
    })
  }

  /** Resolves after `ms`, unless `look` throws meanwhile. */
  quiet(look: () => void, ms: number): Promise<void> {
    return this.#wait<void>(look as () => undefined, ms, ({ resolve }) => resolve())
  }

  #wait<T>(look: () => T | undefined, ms: number, onTimeout: (settle: Settle<T>) => void): Promise<T> {
    const caller = new Error()
    const { promise, resolve, reject } = deferred<T>()
    const attempt = () => {
      try {
        const found = look()
        if (found === undefined) return
        resolve(found)
      } catch (error) {
        reject(error)
      }
      this.#looks.delete(attempt)
    }
    this.#looks.add(attempt)
    this.changed()
    // Not unref'd: otherwise a test that waits would end without an error that says what for.
    const timer = setTimeout(() => onTimeout({ resolve, reject }), ms)
    const told = promise.catch((error: unknown) => {
      if (error instanceof NotReceivedError || error instanceof UnexpectedEventError) blame(error, caller)
      throw error
    })
    return told.finally(() => {
      clearTimeout(timer)
      this.#looks.delete(attempt)
    })
  }
}

interface Settle<T> {
  resolve(value: T): void
  reject(error: Error): void
}

/** Gives an error the stack of the caller: that of a timer or a socket would not name a line of the test. */
function blame(error: Error, caller: Error): void {
  const frames = String(caller.stack).split('\n').slice(1)
  error.stack = [String(error), ...frames.filter((frame) => !frame.includes(HERE))].join('\n')
}
