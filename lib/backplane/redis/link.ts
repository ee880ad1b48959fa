import { within } from '../within.js'
import { CONNECT_TIMEOUT, hearErrors, type RedisClient, release } from './client.js'
import { bareError } from './errors.js'

/** How long a connection has to end properly, ms. */
const END_TIMEOUT = 1000

/** A connection of one's own, made when it is asked for, and made anew after it was dropped. */
export class RedisLink {
  readonly #make: () => Promise<RedisClient>
  #client: RedisClient | undefined
  #opening: Promise<RedisClient> | undefined
  readonly #ending = new Set<Promise<void>>()
  #isClosed = false
  #reason: Error | undefined

  /** @param make gives a client that has yet to be told to connect */
  constructor(make: () => Promise<RedisClient>) {
    this.#make = make
  }

  /** What was wrong with the connection: a driver may tell the reason there alone. */
  get reason(): Error | undefined {
    return this.#reason
  }

  get isOpen(): boolean {
    return this.#client?.status === 'ready'
  }

  /** The connected client. */
  async open(): Promise<RedisClient> {
    if (this.#client?.status === 'ready') return this.#client
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  /** Ends the connection, if there is one. What waits for an answer rejects. */
  drop(): void {
    const client = this.#client
    this.#client = undefined
    if (client === undefined || client.status === 'end') return
    const ending = new Promise<void>((resolve) => client.once('end', resolve))
    this.#ending.add(ending)
    void ending.then(() => this.#ending.delete(ending))
    hearErrors(client)
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
      hearErrors(client)
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
