import { setImmediate as turn } from 'node:timers/promises'
import type { RunSource } from './source.js'
import { iterate } from './source.js'

/** Pieces after which the event loop is served, for a source that never waits. */
const TURN = 64

/** Why a run has not come to its own end. */
export type FailReason = 'error' | 'stopped' | 'abandoned' | 'lost' | 'closed'

/** Where what a source gives goes. */
export interface WorkTarget {
  /** Resolves when the piece is accepted. @throws what makes the run fail */
  accept(piece: unknown): Promise<void> | undefined
  /** Its listeners have been offered what was accepted. */
  readonly isOffered: boolean
  /** It has come to its end, with what the source returned. */
  done(value: unknown): void
  failed(reason: FailReason, error?: unknown): void
}

/** Asks a source for its pieces, one after the other is accepted. */
export class Work {
  readonly #target: WorkTarget
  readonly #controller = new AbortController()
  /** Resolves when the source is through, its `finally` included. */
  readonly finished: Promise<void>
  #ended = false

  constructor(source: RunSource, target: WorkTarget) {
    this.#target = target
    this.finished = this.#drive(source)
  }

  /** Ends it where it is. What it has begun to wait for is told by the signal. */
  stop(reason: FailReason): void {
    if (this.#ended) return
    this.#ended = true
    this.#target.failed(reason)
    const message = `The run has been ${reason === 'closed' ? 'stopped, as the app closes' : reason}.`
    this.#controller.abort(new DOMException(message, 'AbortError'))
  }

  async #drive(source: RunSource): Promise<void> {
    const { signal } = this.#controller
    // The caller gets its run first.
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
      // What a generator does in its `finally` is its own business.
    }
  }

  async #serveOthers(): Promise<void> {
    do await turn()
    while (!this.#target.isOffered && !this.#ended)
  }
}
