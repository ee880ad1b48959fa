// Attempts of a process to join its engine: one, or with an optional backplane as many as it takes.

import type { Logger } from '../api/input/logger.js'
import { Backoff } from './backoff.js'
import type { Backplane, Joined } from './backplane.js'

/** The first and the longest pause between two attempts to join, ms. */
const MIN_PAUSE = 500
const MAX_PAUSE = 10_000

/** The two steps of joining. */
interface JoinSteps {
  /** Joins the engine, and resolves with what was read from it. */
  join(): Promise<Joined>
  /** Called once the engine is joined, unless the process has left by then. */
  begin(joined: Joined): void
}

/** Joins the engine once. What an engine does to be joined is in its folder, with membership.ts. */
export class JoinAttempts {
  /** Resolves once the process has joined. */
  readonly joined: Promise<void>
  #setJoined!: () => void
  #isJoined = false
  readonly #backplane: Backplane
  readonly #steps: JoinSteps
  readonly #signal: AbortSignal
  readonly #logger: Logger

  /** @param signal aborts when the process leaves the engine */
  constructor(backplane: Backplane, steps: JoinSteps, signal: AbortSignal, logger: Logger) {
    this.#backplane = backplane
    this.#steps = steps
    this.#signal = signal
    this.#logger = logger
    this.joined = new Promise((resolve) => {
      this.#setJoined = resolve
    })
  }

  get isJoined(): boolean {
    return this.#isJoined
  }

  /**
   * Joins the engine. If that fails with an optional backplane, resolves, and keeps trying.
   *
   * @throws BackplaneUnavailableError if it fails with another one. It can then be called again
   */
  async join(): Promise<void> {
    try {
      await this.#try()
    } catch (error) {
      if (!this.#backplane.limits.optional) throw error
      this.#logger.warn(
        { err: error },
        `SSE: the backplane ${this.#backplane.name} cannot be joined; until it can, clients get the events of this process alone`
      )
      void this.#keepTrying()
    }
  }

  async #try(): Promise<void> {
    const joined = await this.#steps.join()
    if (this.#signal.aborted) {
      await this.#backplane.close()
      return
    }
    this.#isJoined = true
    this.#steps.begin(joined)
    this.#setJoined()
  }

  async #keepTrying(): Promise<void> {
    const backoff = new Backoff(MIN_PAUSE, MAX_PAUSE)
    while (!this.#signal.aborted && !this.#isJoined) {
      await backoff.wait(this.#signal)
      if (this.#signal.aborted) return
      await this.#try().catch(() => {})
      if (this.#isJoined)
        this.#logger.warn(
          {},
          `SSE: the backplane ${this.#backplane.name} has been joined; clients get the events of all processes`
        )
    }
  }
}
