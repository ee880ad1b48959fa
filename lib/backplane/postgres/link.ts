// A connection to Postgres that is opened again after it was dropped. When it is dropped is decided in postgres.ts.

import { within } from '../within.js'
import type { Connect, Connection } from './connection.js'

/** How long `close` waits for connections to end, ms. */
const END_TIMEOUT = 1500

/** The backplane's connection, opened when it is first needed, and again after it was dropped or lost. */
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
   * @param prepare called with each new connection, before it is used
   * @param onLost called when a connection in use is lost
   */
  constructor(connect: Connect, prepare: (connection: Connection) => Promise<void>, onLost: () => void) {
    this.#connect = connect
    this.#prepare = prepare
    this.#onLost = onLost
  }

  /** The first error of the current connection. A rejected query may say less about the cause. */
  get reason(): Error | undefined {
    return this.#reason
  }

  /** Connects, if necessary, and resolves with the prepared connection. */
  async open(): Promise<Connection> {
    if (this.#connection !== undefined) return this.#connection
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  /** Ends the connection, if there is one. Queries without a result reject. */
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
      /* c8 ignore next 2: closed or lost while the connection was prepared, which no test can time */
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
