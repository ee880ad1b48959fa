/**
 * The backplane that keeps the log in a Redis stream.
 *
 * @module pylon-sse/redis-streams
 */
import { Backoff } from '../backoff.js'
import type { Backplane, BackplaneLimits, BackplaneListener, HistoryBounds, Joined, Parcel } from '../backplane.js'
import { refused, unavailable } from '../engine-errors.js'
import { resolveLimits } from '../limits.js'
import { type Continuity, Membership } from '../membership.js'
import { whileComing, within } from '../within.js'
import { addressOf, CONNECT_TIMEOUT, create, duplicate, type RedisClient, receivedBytes } from './client.js'
import { compareEntryIds, ORIGIN, parseEntryId } from './entry-id.js'
import { bareError, isReadOnly, isRefusal, reasonOf } from './errors.js'
import { RedisLink } from './link.js'
import { checkOptions, type RedisStreamsOptions } from './options.js'
import { type Loaded, type Mark, RedisLog, START } from './redis-log.js'
import { RedisWriter } from './writer.js'

export type { Backplane, BackplaneLimits } from '../backplane.js'
export type { RedisClient } from './client.js'
export type { RedisStreamsOptions } from './options.js'

const NAME = 'redis'
/** How long a read waits on the server for an entry, ms. */
const BLOCK = 1000
/** How long the server may take to reply, ms, in addition to `BLOCK`. */
const ANSWER_TIMEOUT = 2000
/** Bounds of the pause between attempts to connect, ms. */
const MIN_PAUSE = 50
const MAX_PAUSE = 1000

/**
 * Creates a backplane that keeps its log in a stream of Redis (6.2 or later) or Valkey. It connects when the plugin starts.
 *
 * @throws InvalidOptionError if an option is missing, unknown, or has a wrong value
 * @example
 * await app.register(pylonSse, { backplane: redisStreams({ url: 'redis://localhost' }) })
 */
export function redisStreams(options: RedisStreamsOptions): Backplane {
  return new RedisStreams(options)
}

class RedisStreams implements Backplane {
  readonly name = NAME
  readonly limits: BackplaneLimits
  readonly #log: RedisLog
  readonly #address: string
  readonly #reading: RedisLink
  readonly #writer: RedisWriter
  readonly #membership: Membership
  /** The connections that do not work at the moment. */
  readonly #down = new Set<'reading' | 'writing'>()
  /** The last entry that was read. Reading continues after it. */
  #mark: Mark = START
  /** Id of the first entry that this stream ever had, if known. A smaller id belongs to a stream that was deleted. */
  #first: string | undefined

  constructor(options: RedisStreamsOptions) {
    const { client, url, key, maxLength, ...limits } = checkOptions(options)
    this.limits = resolveLimits(limits)
    this.#membership = new Membership(this.limits.publishTimeout, (error) => this.#unavailable(error))
    this.#log = new RedisLog(key, maxLength)
    this.#address = client ? addressOf(client) : hostOf(url!)
    const make = async () => (client ? duplicate(client) : create(url!))
    this.#reading = new RedisLink(make)
    this.#writer = new RedisWriter(this.#log, make, (isWorking, error) => this.#tell('writing', isWorking, error))
  }

  async join(bounds: HistoryBounds, listener: BackplaneListener): Promise<Joined> {
    this.#membership.refuseSecondJoin()
    try {
      const [client] = await Promise.all([this.#reading.open(), this.#writer.open()])
      const loaded = await this.#membership.join(bounds, listener, this.#loadBy(client))
      this.#goOnFrom(loaded)
      void this.#run()
      void this.#writer.watch()
      return loaded
    } catch (error) {
      this.#reading.drop()
      this.#writer.drop()
      throw this.#unavailable(this.#reading.reason ?? error)
    }
  }

  async publish(batch: readonly Parcel[]): Promise<readonly string[]> {
    try {
      if (this.#membership.isClosed) throw new Error('it is closed')
      return await this.#writer.append(batch)
    } catch (error) {
      if (!this.#writer.isFinal(error)) throw this.#unavailable(error)
      const cause = error as Error
      throw refused(NAME, reasonOf(cause), cause)
    }
  }

  compare(a: string, b: string): number | undefined {
    const [first, second] = [this.#parse(a), this.#parse(b)]
    return first && second && compareEntryIds(first, second)
  }

  async close(): Promise<void> {
    this.#membership.close()
    await Promise.all([this.#reading.close(), this.#writer.close()])
  }

  /** @returns `undefined` if the cursor is not one of this stream: before the first entry, there is only the origin */
  #parse(cursor: string) {
    const id = parseEntryId(cursor)
    if (id === undefined || this.#first === undefined || cursor === ORIGIN) return id
    return compareEntryIds(id, parseEntryId(this.#first)!) < 0 ? undefined : id
  }

  #goOnFrom({ floor, first, mark }: Loaded): void {
    this.#mark = mark
    // If the stream has never had an entry, the next one is its first.
    this.#first = floor === ORIGIN ? first : ORIGIN
  }

  async #run(): Promise<void> {
    const { signal } = this.#membership
    const backoff = new Backoff(MIN_PAUSE, MAX_PAUSE)
    let mustCheck = false
    let isSameServer = true
    while (!signal.aborted) {
      try {
        const client = await this.#reading.open()
        if (mustCheck) await this.#checkContinuity(client, isSameServer)
        const hasRead = await this.#read(client, mustCheck ? 0 : BLOCK)
        signal.throwIfAborted()
        this.#tell('reading', true)
        backoff.reset()
        isSameServer = true
        // A blocking read does not end when the stream is deleted, so check the stream if nothing has come.
        mustCheck = !hasRead && !mustCheck
      } catch (error) {
        this.#reading.drop()
        if (signal.aborted) return
        mustCheck = true
        isSameServer = false
        this.#tell('reading', false, this.#reading.reason ?? error)
        await backoff.wait(signal)
      }
    }
  }

  #loadBy(client: RedisClient) {
    return (bounds: HistoryBounds, onForeign: BackplaneListener['onForeign']): Promise<Loaded> =>
      whileComing(CONNECT_TIMEOUT, this.#log.load(client, bounds, onForeign), () => receivedBytes(client))
  }

  #tell(part: 'reading' | 'writing', isWorking: boolean, error?: unknown): void {
    if (isWorking) this.#down.delete(part)
    else this.#down.add(part)
    this.#membership.tell(this.#down.size === 0, error)
  }

  /** Reads the next entries and passes them to the listener. @returns whether there were any */
  async #read(client: RedisClient, block: number): Promise<boolean> {
    const reading = this.#log.readAfter(client, this.#mark, block, this.#membership.onForeign)
    const read = await whileComing(block + ANSWER_TIMEOUT, reading, () => receivedBytes(client))
    if (read === undefined || this.#membership.isClosed) return false
    if (typeof read === 'string') {
      await this.#restart(client, read)
      return true
    }
    this.#mark = read.mark
    this.#first ??= read.entries[0]?.cursor
    if (read.entries.length > 0) this.#membership.listener.onEntries(read.entries)
    return true
  }

  /** Begins anew if the stream was trimmed, deleted or replaced. Called after a lost connection, and when no entries come. */
  async #checkContinuity(client: RedisClient, isSameServer: boolean): Promise<void> {
    const checking = this.#log.continuityFrom(client, this.#mark, isSameServer)
    const continuity = await within(ANSWER_TIMEOUT, checking)
    if (continuity !== 'whole') await this.#restart(client, continuity)
  }

  #restart(client: RedisClient, continuity: Continuity): Promise<void> {
    return this.#membership.restart(continuity, {
      append: (report) => within(ANSWER_TIMEOUT, this.#log.append(client, [report])),
      isFinal(error) {
        const cause = bareError(error)
        // A server is read-only for a while during a failover.
        return isRefusal(cause) && !isReadOnly(cause)
      },
      load: this.#loadBy(client),
      goOnFrom: (loaded) => this.#goOnFrom(loaded)
    })
  }

  #unavailable(error: unknown): Error {
    const cause = bareError(error)
    return unavailable(`${NAME} at ${this.#address}`, reasonOf(cause), cause)
  }
}

function hostOf(url: string): string {
  const { hostname, port } = new URL(url)
  return `${hostname}:${port || 6379}`
}
