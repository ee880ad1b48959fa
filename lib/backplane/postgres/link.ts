import { within } from '../within.js'
import type { Connect, Connection } from './connection.js'

/** How long what has ended may take to be gone, ms. */
const END_TIMEOUT = 1500

/** A connection of one's own, made when it is asked for, and made anew after it was dropped. */
export class PostgresLink {
  readonly #connect: Connect
  readonly #prepare: (connection: Connection) => Promise<void>
  readonly #onLost: () => void
  #connection: Connection | undefined
  #opening: Promise<Connection> | undefined
  readonly #ending = new Set<Promise<void>>()
  #isClosed = false
  #reason: Error | undefined

  /**
   * @param prepare what is done with each connection first
   * @param onLost called when a connection is lost that was in use
   */
  constructor(connect: Connect, prepare: (connection: Connection) => Promise<void>, onLost: () => void) {
    this.#connect = connect
    this.#prepare = prepare
    this.#onLost = onLost
  }

  /** What was wrong with the connection: a driver may tell the reason there alone. */
  get reason(): Error | undefined {
    return this.#reason
  }

  /** The connection, which is ready. */
  async open(): Promise<Connection> {
    if (this.#connection !== undefined) return this.#connection
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  /** Ends the connection, if there is one. What waits for an answer rejects. */
  drop(): void {
    const connection = this.#connection
    this.#connection = undefined
    if (connection !== undefined) this.#release(connection)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.drop()
    await within(END_TIMEOUT, Promise.all(this.#ending)).catch(() => {})
  }

  async #open(): Promise<Connection> {
    this.#reason = undefined
    let isLost = false
    let connection: Connection | undefined
    connection = await this.#connect((error) => {
      isLost = true
      this.#reason ??= error
      if (connection === undefined || this.#connection !== connection) return
      this.drop()
      this.#onLost()
    })
    try {
      await this.#prepare(connection)
      /* c8 ignore next 2: closed, or lost, in the moment before this */
      if (this.#isClosed) throw new Error('it is closed')
      if (isLost) throw this.#reason ?? new Error('the connection was lost')
    } catch (error) {
      this.#release(connection)
      throw error
    }
    this.#connection = connection
    return connection
  }

  #release(connection: Connection): void {
    const ending = connection.end().catch(() => {})
    this.#ending.add(ending)
    void ending.then(() => this.#ending.delete(ending))
  }
}
