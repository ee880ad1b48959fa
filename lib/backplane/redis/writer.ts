// The writing half of the Redis backplane: appends events, and watches whether that works. The commands are in redis-log.ts.

import { pause } from '../backoff.js'
import type { Parcel } from '../backplane.js'
import { within } from '../within.js'
import type { RedisClient } from './client.js'
import { bareError, isReadOnly, isRefusal } from './errors.js'
import { RedisLink } from './link.js'
import type { RedisLog } from './redis-log.js'

/** How long the server may take to reply, ms. */
const ANSWER_TIMEOUT = 2000
/** Pause between two checks of a connection that does not work, ms. */
const CHECK_PAUSE = 1000

/**
 * Appends events to the stream, and finds out whether that is possible. It uses a connection of its own, and replaces it when
 * necessary. It does not use the app's client: the app may end that one, and ioredis itself gives up reconnecting if
 * Sentinel's failover detector acts meanwhile.
 */
export class RedisWriter {
  readonly #log: RedisLog
  readonly #link: RedisLink
  readonly #onState: (isWorking: boolean, error?: Error) => void
  readonly #closing = new AbortController()
  /** Whether the server was read-only when this process joined, and has accepted no event since. */
  #isReplica = false
  /** `undefined` until it is known. */
  #isWorking: boolean | undefined
  #isAppending = false

  /**
   * @param make creates a client that is not connected yet
   * @param onState called after each check and each append, with whether events can be published
   */
  constructor(log: RedisLog, make: () => Promise<RedisClient>, onState: (isWorking: boolean, error?: Error) => void) {
    this.#log = log
    this.#link = new RedisLink(make)
    this.#onState = onState
  }

  /** Connects. A read-only server is not an error: this process can still read from it. */
  async open(): Promise<void> {
    const obstacle = await this.#findObstacle()
    this.#isReplica = obstacle !== undefined && isReadOnly(obstacle)
  }

  drop(): void {
    this.#link.drop()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#link.close()
  }

  /** Appends the whole batch, or nothing. @returns the ids of its entries */
  append(batch: readonly Parcel[]): Promise<string[]> {
    this.#isAppending = true
    return this.#append(batch).finally(() => {
      this.#isAppending = false
    })
  }

  /**
   * Whether a retry does not help. A server that becomes read-only while this process runs does not count: a failover is
   * probably under way.
   */
  isFinal(error: unknown): boolean {
    return isRefusal(error) && (this.#isReplica || !isReadOnly(error))
  }

  /** Checks again and again whether events can be published, while no append tells it. Ends when the writer is closed. */
  async watch(): Promise<void> {
    const { signal } = this.#closing
    for (;;) {
      await pause(CHECK_PAUSE, signal)
      if (signal.aborted) return
      if (this.#isAppending || (this.#isWorking && this.#link.isOpen)) continue
      try {
        this.#tell(await this.#findObstacle())
      } catch (error) {
        this.#tell(bareError(error))
      }
    }
  }

  /** @returns why the server accepts no events at all, or `undefined` if it does */
  async #findObstacle(): Promise<Error | undefined> {
    const client = await this.#link.open()
    return within(ANSWER_TIMEOUT, this.#log.findObstacle(client))
  }

  async #append(batch: readonly Parcel[]): Promise<string[]> {
    try {
      const client = await this.#link.open()
      const ids = await within(ANSWER_TIMEOUT, this.#log.append(client, batch))
      this.#isReplica = false
      this.#tell(undefined)
      return ids
    } catch (error) {
      const cause = bareError(error)
      this.#tell(cause)
      throw cause
    }
  }

  /** Reports whether the writer works. A refusal counts as working: the server has replied. */
  #tell(error: Error | undefined): void {
    const obstacle = error && !this.isFinal(error) ? error : undefined
    this.#isWorking = obstacle === undefined
    // After a failover, a new connection may reach the new master.
    if (obstacle !== undefined) this.#link.drop()
    this.#onState(this.#isWorking, obstacle)
  }
}
