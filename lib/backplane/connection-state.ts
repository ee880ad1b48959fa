// The state of the connection to the engine: whether it is there, and the figures of it in `stats`.

import type { BackplaneStats } from '../api/api.js'
import { BackplaneUnavailableError } from '../api/errors.js'
import type { Logger } from '../api/input/logger.js'

/** Called when the connection is there or is lost. */
type OnState = (isConnected: boolean, error?: Error) => void

/** Keeps whether the engine is reached, how many events it has not taken, and how late its events are read. Logs outages. */
export class ConnectionState {
  readonly #name: string
  readonly #onState: OnState
  readonly #logger: Logger
  #isConnected = false
  #lost = 0
  #lag: number | null = null

  /**
   * @param name the backplane's name
   * @param onState called on each change, except by `noteJoined`
   */
  constructor(name: string, onState: OnState, logger: Logger) {
    this.#name = name
    this.#onState = onState
    this.#logger = logger
  }

  get isConnected(): boolean {
    return this.#isConnected
  }

  get figures(): Pick<BackplaneStats, 'connected' | 'lost' | 'lag'> {
    return { connected: this.#isConnected, lost: this.#lost, lag: this.#lag }
  }

  /** Does not call `onState`: the mirror does, once it has passed on the history. */
  noteJoined(): void {
    this.#isConnected = true
  }

  /** Notes what the backplane says of its connection. */
  change(isConnected: boolean, err?: Error): void {
    if (isConnected === this.#isConnected) return
    this.#set(isConnected, err)
    if (isConnected) this.#logger.warn({}, `SSE: the backplane ${this.#name} is reached again`)
    else
      this.#logger.error(
        { err: err ?? new BackplaneUnavailableError(this.#name, 'the connection is lost') },
        `SSE: the backplane ${this.#name} is out of reach; events wait for it`
      )
  }

  /** Counts a message that the engine has not taken. */
  countLost(err: unknown): void {
    if (this.#lost++ === 0 || this.#isConnected)
      this.#logger.error({ err }, 'SSE: an event is lost, since the backplane has not taken it')
  }

  /** @param at when the engine stored the newest entry that was read, ms since 1970 */
  noteRead(at: number): void {
    this.#lag = Math.max(0, Date.now() - at)
  }

  /** Call it when the process has left the engine. That is not logged. */
  close(): void {
    if (this.#isConnected) this.#set(false)
  }

  #set(isConnected: boolean, error?: Error): void {
    this.#isConnected = isConnected
    this.#onState(isConnected, error)
  }
}
