import { pause } from '../backoff.js'
import type { Parcel } from '../backplane.js'
import { within } from '../within.js'
import type { RedisClient } from './client.js'
import { bareError, isReadOnly, isRefusal } from './errors.js'
import { RedisLink } from './link.js'
import type { RedisLog } from './redis-log.js'

/** How long the server may take to answer, ms. */
const ANSWER_TIMEOUT = 2000
/** Between two looks at a connection that does not work, ms. */
const CHECK_PAUSE = 1000

/**
 * Appends events by a connection of its own, which it replaces as often as need be. A client that the app owns may be
 * ended by the app, or give up by itself: ioredis does, where Sentinel's failover detector acts while it reconnects.
 */
export class RedisWriter {
  readonly #log: RedisLog
  readonly #link: RedisLink
  readonly #onState: (isWorking: boolean, error?: Error) => void
  readonly #closing = new AbortController()
  /** Whether the server took no events when this process began, and has taken none since. */
  #isReplica = false
  /** Nothing until it is known. */
  #isWorking: boolean | undefined
  #isAppending = false

  /**
   * @param make gives a client that has yet to be told to connect
   * @param onState told whether events can be published, as often as it is found out
   */
  constructor(log: RedisLog, make: () => Promise<RedisClient>, onState: (isWorking: boolean, error?: Error) => void) {
    this.#log = log
    this.#link = new RedisLink(make)
    this.#onState = onState
  }

  /** Connects. A server that takes no events is one to read from, and no fault. */
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

  /** Appends all of them, or none. @returns their ids */
  append(batch: readonly Parcel[]): Promise<string[]> {
    this.#isAppending = true
    return this.#append(batch).finally(() => {
      this.#isAppending = false
    })
  }

  /** Whether the server will not have an event, however often it is asked. Amid a failover it is read-only for a while. */
  isFinal(error: unknown): boolean {
    return isRefusal(error) && (this.#isReplica || !isReadOnly(error))
  }

  /** Finds out whether events can be published where nothing tells so, until it is closed. */
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

  /** What keeps the server from taking events of any kind, if anything does. */
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

  /** A server that answers is there, whatever it refuses. */
  #tell(error: Error | undefined): void {
    const obstacle = error && !this.isFinal(error) ? error : undefined
    this.#isWorking = obstacle === undefined
    // The next connection may lead to another server.
    if (obstacle !== undefined) this.#link.drop()
    this.#onState(this.#isWorking, obstacle)
  }
}
