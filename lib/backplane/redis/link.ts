// A connection to Redis that is opened again after it was dropped. When it is dropped is decided in redis-streams.ts and writer.ts.

import { within } from '../within.js'
import { CONNECT_TIMEOUT, ignoreLateErrors, type RedisClient, release } from './client.js'
import { bareError } from './errors.js'

/** How long `close` waits for connections to end, ms. */
const END_TIMEOUT = 1000

/** A connection of the plugin's own, opened when it is first needed, and again after it was dropped or lost. */
export class RedisLink {
  readonly #make: () => Promise<RedisClient>
  #client: RedisClient | undefined
  #opening: Promise<RedisClient> | undefined
  readonly #ending = new Set<Promise<void>>()
  #isClosed = false
  #reason: Error | undefined

  /** @param make creates a client that is not connected yet */
  constructor(make: () => Promise<RedisClient>) {
    this.#make = make
  }

  /** The first error of the current connection. A rejected command may say less about the cause. */
  get reason(): Error | undefined {
    return this.#reason
  }

  get isOpen(): boolean {
    return this.#client?.status === 'ready'
  }

  /**
   * Connects, if necessary, and resolves with the client.
   *
   * @throws Error after 3 s without a connection, or if the server refuses it
   */
  async open(): Promise<RedisClient> {
    if (this.#client?.status === 'ready') return this.#client
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  /** Ends the connection, if there is one. Commands without a reply reject. */
  drop(): void {
    const client = this.#client
    this.#client = undefined
    if (client === undefined || client.status === 'end') return
    const ending = new Promise<void>((resolve) => client.once('end', resolve))
    this.#ending.add(ending)
    void ending.then(() => this.#ending.delete(ending))
    ignoreLateErrors(client)
    client.disconnect()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.drop()
    await within(END_TIMEOUT, Promise.all(this.#ending)).catch(() => {})
  }

  async #open(): Promise<RedisClient> {
    this.drop()
    const client = await this.#make()
    if (this.#isClosed) throw new Error('it is closed')
    this.#client = client
    this.#reason = undefined
    client.on('error', (error) => {
      if (this.#client === client) this.#reason ??= bareError(error)
      ignoreLateErrors(client)
    })
    const ended = new Promise<never>((_resolve, reject) => {
      client.once('end', () => {
        release(client)
        reject(new Error('Connection is closed.'))
      })
    })
    try {
      await within(CONNECT_TIMEOUT, Promise.race([client.connect(), ended]))
      return client
    } catch (error) {
      if (this.#client === client) this.drop()
      throw this.#reason ?? error
    }
  }
}
