// A process's membership in the log of an engine: joining once, reporting losses, telling the listener of outages. All engines
// share it. How an engine is reached and read is in `redis/`, `nats/` and `postgres/`.

import type { BackplaneListener, HistoryBounds, Joined, Parcel } from './backplane.js'

/**
 * How the log compares with what was read of it:
 * - `whole`: everything that followed is still there;
 * - `trimmed`: the oldest entries are gone, and some of them were not read before;
 * - `lost`: entries that were read are missing, so others that were not read may be missing, too.
 */
export type Continuity = 'whole' | 'trimmed' | 'lost'

/** Reads the newest entries of the log, within the bounds. */
export type Load<Loaded extends Joined> = (
  bounds: HistoryBounds,
  onForeign: BackplaneListener['onForeign']
) => Promise<Loaded>

/** What an engine does when it reads the log anew. */
export interface Restart<Loaded extends Joined> {
  /** Appends the report of a loss to the log. */
  append(report: Parcel): Promise<unknown>
  /** Whether the engine will refuse the report however often it is asked. */
  isFinal(error: unknown): boolean
  load: Load<Loaded>
  /** Called before the listener is told, to read on from the end of what was loaded. */
  goOnFrom(loaded: Loaded): void
}

export class Membership {
  readonly #closing = new AbortController()
  readonly #explain: (error: unknown) => Error
  readonly #reportTimeout: number
  #bounds!: HistoryBounds
  #listener!: BackplaneListener
  #isJoined = false
  #isConnected = true
  /** When a loss was found whose report the log does not have yet, ms on the clock of `performance.now()`. */
  #lossFoundAt: number | undefined

  /**
   * @param reportTimeout how long the report of a loss is tried, ms. After that, the process goes on without it
   * @param explain turns the error of a driver into one that names the engine and says what is wrong
   */
  constructor(reportTimeout: number, explain: (error: unknown) => Error) {
    this.#reportTimeout = reportTimeout
    this.#explain = explain
  }

  /** Aborts when the backplane is closed. */
  get signal(): AbortSignal {
    return this.#closing.signal
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  /** The listener. Use it only after `join`. */
  get listener(): BackplaneListener {
    return this.#listener
  }

  readonly onForeign = (cursor: string, reason: string): void => this.#listener.onForeign(cursor, reason)

  /** @throws BackplaneUnavailableError if the backplane has been joined already */
  refuseSecondJoin(): void {
    if (this.#isJoined) throw this.#explain(new Error('it has been joined already; each plugin needs one of its own'))
  }

  /** Loads the history for a listener, whose callbacks are called from then on. */
  async join<Loaded extends Joined>(
    bounds: HistoryBounds,
    listener: BackplaneListener,
    load: Load<Loaded>
  ): Promise<Loaded> {
    const loaded = await load(bounds, (cursor, reason) => listener.onForeign(cursor, reason))
    if (this.isClosed) throw new Error('it is closed')
    this.#bounds = bounds
    this.#listener = listener
    this.#isJoined = true
    return loaded
  }

  /** Loads the history anew, because entries are gone from the log, and tells the listener of the gap. */
  async restart<Loaded extends Joined>(continuity: Continuity, engine: Restart<Loaded>): Promise<void> {
    if (continuity === 'lost') await this.#report(engine)
    const loaded = await engine.load(this.#bounds, this.onForeign)
    /* c8 ignore next: closed amid a gap, which no test can time */
    if (this.isClosed) return
    this.#lossFoundAt = undefined
    engine.goOnFrom(loaded)
    this.#listener.onGap(loaded)
  }

  /** Tells the listener whether the engine can be reached, if that has changed. */
  tell(isConnected: boolean, error?: unknown): void {
    if (isConnected === this.#isConnected || !this.#isJoined || this.isClosed) return
    this.#isConnected = isConnected
    this.#listener.onState(isConnected, isConnected ? undefined : this.#explain(error))
  }

  close(): void {
    this.#closing.abort()
  }

  /** Writes the loss into the log, so that every process learns of it. If the engine does not take it, goes on without. */
  async #report<Loaded extends Joined>({ append, isFinal }: Restart<Loaded>): Promise<void> {
    this.#lossFoundAt ??= performance.now()
    try {
      await append(this.#listener.onLoss())
    } catch (error) {
      const isLate = performance.now() - this.#lossFoundAt > this.#reportTimeout
      if (!isLate && !isFinal(error)) throw error
    }
  }
}
