// The work of one run: asks its source for pieces. Where they go is in run-target.ts.

import { setImmediate as turn } from 'node:timers/promises'
import type { RunSource } from './source.js'
import { iterate } from './source.js'

/** Number of pieces after which the event loop is served, for sources that never wait. */
const TURN = 64

/** Why a run has failed. */
export type FailReason = 'error' | 'stopped' | 'abandoned' | 'lost' | 'closed'

/** Where the pieces of a source go. */
export interface WorkTarget {
  /** Takes a piece. Resolves when it is accepted; undefined if it already is. @throws what makes the run fail */
  accept(piece: unknown): Promise<void> | undefined
  /** Whether listeners have been offered everything that was accepted. */
  readonly isOffered: boolean
  /** Called when the source has ended, with what it returned. */
  done(value: unknown): void
  /** Called when the run has failed, or has been stopped. */
  failed(reason: FailReason, error?: unknown): void
}

/** Asks a source for pieces, each once the one before is accepted. */
export class Work {
  readonly #target: WorkTarget
  readonly #controller = new AbortController()
  /** Resolves when the source has finished, its `finally` included. */
  readonly finished: Promise<void>
  #ended = false

  constructor(source: RunSource, target: WorkTarget) {
    this.#target = target
    this.finished = this.#drive(source)
  }

  /** Ends the run at once. The signal tells the source, which may be waiting for something. */
  stop(reason: FailReason): void {
    if (this.#ended) return
    this.#ended = true
    this.#target.failed(reason)
    const message = `The run has been ${reason === 'closed' ? 'stopped, as the app closes' : reason}.`
    this.#controller.abort(new DOMException(message, 'AbortError'))
  }

  async #drive(source: RunSource): Promise<void> {
    const { signal } = this.#controller
    // The caller gets its run before the source begins.
    await null
    let iterator: Iterator<unknown> | AsyncIterator<unknown> | undefined
    try {
      iterator = await iterate(source, signal)
      for (let count = 1; !this.#ended; count++) {
        const { done, value } = await iterator.next()
        if (this.#ended) break
        if (done) {
          this.#ended = true
          this.#target.done(value)
          return
        }
        const accepting = this.#target.accept(value)
        if (accepting !== undefined) await accepting
        if (count % TURN === 0) await this.#serveOthers()
      }
    } catch (error) {
      if (!this.#ended) {
        this.#ended = true
        this.#target.failed('error', error)
        this.#controller.abort(error)
      }
    }
    try {
      await iterator?.return?.()
    } catch {
      // The run has ended already. An error in the `finally` of a generator changes nothing.
    }
  }

  async #serveOthers(): Promise<void> {
    do await turn()
    while (!this.#target.isOffered && !this.#ended)
  }
}
