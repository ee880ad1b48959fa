/**
 * A backplane that keeps the log in a Redis stream.
 *
 * @module pylon-sse/redis-streams
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { InvalidOptionError } from '../../api/errors.js'
import { unknownName } from '../../api/input/nearest-name.js'
import type { Backplane, BackplaneLimits, BackplaneListener, HistoryBounds, Joined, Parcel } from '../backplane.js'
import { refused, unavailable } from '../engine-errors.js'
import { LIMITS, type LimitOptions, resolveLimits } from '../limits.js'
import { whileComing, within } from '../within.js'
import { addressOf, CONNECT_TIMEOUT, create, duplicate, type RedisClient, receivedBytes } from './client.js'
import { compareEntryIds, ORIGIN, parseEntryId } from './entry-id.js'
import { bareError, isReadOnly, isRefusal, reasonOf } from './errors.js'
import { RedisLink } from './link.js'
import { type Continuity, type Loaded, MAX_COUNT, type Mark, RedisLog, START } from './redis-log.js'
import { RedisWriter } from './writer.js'

export type { Backplane, BackplaneLimits } from '../backplane.js'
export type { RedisClient } from './client.js'

const NAME = 'redis'
/** How long the server waits for an entry before it answers that there is none, ms. */
const BLOCK = 1000
/** How long the server may take to answer, ms, beside what it is told to wait. */
const ANSWER_TIMEOUT = 2000
/** Between two attempts to connect, ms: the first, and the longest. */
const MIN_PAUSE = 50
const MAX_PAUSE = 1000

const OPTIONS = ['client', 'url', 'key', 'maxLength', ...LIMITS]

/** Options of `redisStreams`. */
export interface RedisStreamsOptions extends LimitOptions {
  /**
   * A client that the app owns: `Redis` or `Cluster` of ioredis or iovalkey, or @fastify/redis's `app.redis`. Events are
   * published and read by two connections of the plugin's own, duplicates of it. Nothing is sent by the client itself, and
   * it may be closed or end.
   */
  client?: RedisClient | undefined
  /** Instead of a client: `redis://user:password@host:port/db`, `rediss://` for TLS. Needs the package ioredis. */
  url?: string | undefined
  /** Key of the stream. All processes that share it hear each other. Default: `'pylon-sse'`. */
  key?: string | undefined
  /**
   * Entries that the stream keeps, about, from 1000. Default: 100,000. Past it the oldest are dropped: a process that
   * was away for longer tells its clients so, by a `resync`, reason `backplane`.
   */
  maxLength?: number | undefined
}

/**
 * A backplane over a stream in Redis (6.2 or later) or Valkey.
 *
 * @throws InvalidOptionError
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
  readonly #closing = new AbortController()
  #isJoined = false
  #isConnected = true
  /** What of it does not work. */
  readonly #down = new Set<'reading' | 'writing'>()
  #bounds!: HistoryBounds
  #listener!: BackplaneListener
  /** How far the stream was read. */
  #mark: Mark = START
  /** When the loss was found that the stream does not tell of yet, ms on the clock of `performance.now()`. */
  #lossFoundAt: number | undefined
  /** The first entry that the stream ever had, where that is known: before it there was another stream, or none. */
  #first: string | undefined

  constructor(options: RedisStreamsOptions) {
    const { client, url, key, maxLength, ...limits } = check(options)
    this.limits = resolveLimits(limits)
    this.#log = new RedisLog(key, maxLength)
    this.#address = client ? addressOf(client) : hostOf(url!)
    const make = async () => (client ? duplicate(client) : create(url!))
    this.#reading = new RedisLink(make)
    this.#writer = new RedisWriter(this.#log, make, (isWorking, error) => this.#tell('writing', isWorking, error))
  }

  async join(bounds: HistoryBounds, listener: BackplaneListener): Promise<Joined> {
    if (this.#isJoined)
      throw this.#unavailable(new Error('it has been joined already; each plugin needs one of its own'))
    try {
      const [client] = await Promise.all([this.#reading.open(), this.#writer.open()])
      const loading = this.#log.load(client, bounds, (cursor, reason) => listener.onForeign(cursor, reason))
      const loaded = await whileComing(CONNECT_TIMEOUT, loading, () => receivedBytes(client))
      this.#closing.signal.throwIfAborted()
      this.#bounds = bounds
      this.#listener = listener
      this.#isJoined = true
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
      if (this.#closing.signal.aborted) throw new Error('it is closed')
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
    this.#closing.abort()
    await Promise.all([this.#reading.close(), this.#writer.close()])
  }

  /** Before the first entry there is the origin, and no other place: what is shown is of a stream that was deleted. */
  #parse(cursor: string) {
    const id = parseEntryId(cursor)
    if (id === undefined || this.#first === undefined || cursor === ORIGIN) return id
    return compareEntryIds(id, parseEntryId(this.#first)!) < 0 ? undefined : id
  }

  #goOnFrom({ floor, first, mark }: Loaded): void {
    this.#mark = mark
    // Of a stream without any entry yet, the first to come is that one.
    this.#first = floor === ORIGIN ? first : ORIGIN
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    let pause = MIN_PAUSE
    let isUnsure = false
    let isSameServer = true
    while (!signal.aborted) {
      try {
        const client = await this.#reading.open()
        if (isUnsure) await this.#makeSure(client, isSameServer)
        const hasRead = await this.#read(client, isUnsure ? 0 : BLOCK)
        signal.throwIfAborted()
        this.#tell('reading', true)
        pause = MIN_PAUSE
        isSameServer = true
        // Where nothing came, and it has been waited for.
        isUnsure = !hasRead && !isUnsure
      } catch (error) {
        this.#reading.drop()
        if (signal.aborted) return
        isUnsure = true
        isSameServer = false
        this.#tell('reading', false, this.#reading.reason ?? error)
        await sleep(pause, undefined, { ref: false, signal }).catch(() => {})
        pause = Math.min(pause * 2, MAX_PAUSE)
      }
    }
  }

  readonly #onForeign = (cursor: string, reason: string) => this.#listener.onForeign(cursor, reason)

  #tell(part: 'reading' | 'writing', isWorking: boolean, error?: unknown): void {
    if (isWorking) this.#down.delete(part)
    else this.#down.add(part)
    const isConnected = this.#down.size === 0
    if (isConnected === this.#isConnected || !this.#isJoined || this.#closing.signal.aborted) return
    this.#isConnected = isConnected
    this.#listener.onState(isConnected, isConnected ? undefined : this.#unavailable(error))
  }

  /** Passes on what follows. @returns whether there was anything */
  async #read(client: RedisClient, block: number): Promise<boolean> {
    const { signal } = this.#closing
    const reading = this.#log.readAfter(client, this.#mark, block, this.#onForeign)
    const read = await whileComing(block + ANSWER_TIMEOUT, reading, () => receivedBytes(client))
    if (read === undefined || signal.aborted) return false
    if (typeof read === 'string') {
      await this.#begin(client, read)
      return true
    }
    this.#mark = read.mark
    this.#first ??= read.entries[0]?.cursor
    if (read.entries.length > 0) this.#listener.onEntries(read.entries)
    return true
  }

  /** After the connection was lost, or where nothing comes: the stream may have been trimmed, deleted or replaced. */
  async #makeSure(client: RedisClient, isSameServer: boolean): Promise<void> {
    const looking = this.#log.continuityFrom(client, this.#mark, isSameServer)
    const continuity = await within(ANSWER_TIMEOUT, looking)
    if (continuity !== 'whole') await this.#begin(client, continuity)
  }

  async #begin(client: RedisClient, continuity: Continuity): Promise<void> {
    if (continuity === 'lost') await this.#report(client)
    const loading = this.#log.load(client, this.#bounds, this.#onForeign)
    const loaded = await whileComing(CONNECT_TIMEOUT, loading, () => receivedBytes(client))
    /* c8 ignore next: closed amid a gap */
    if (this.#closing.signal.aborted) return
    this.#lossFoundAt = undefined
    this.#goOnFrom(loaded)
    this.#listener.onGap(loaded)
  }

  /** Has the stream tell of the loss. Where it cannot, this process goes on without. */
  async #report(client: RedisClient): Promise<void> {
    this.#lossFoundAt ??= performance.now()
    try {
      await within(ANSWER_TIMEOUT, this.#log.append(client, [this.#listener.onLoss()]))
    } catch (error) {
      const cause = bareError(error)
      const isLate = performance.now() - this.#lossFoundAt > this.limits.publishTimeout
      // Amid a failover a server is read-only for a while.
      if (isLate || (isRefusal(cause) && !isReadOnly(cause))) return
      throw error
    }
  }

  #unavailable(error: unknown): Error {
    const cause = bareError(error)
    return unavailable(`${NAME} at ${this.#address}`, reasonOf(cause), cause)
  }
}

type Checked = Omit<RedisStreamsOptions, 'key' | 'maxLength'> & { key: string; maxLength: number }

function check(options: RedisStreamsOptions): Checked {
  const { client, url, key = 'pylon-sse', maxLength = 100_000, ...limits } = options
  if ((client === undefined) === (url === undefined)) {
    const got = client === undefined ? 'neither client nor url' : 'both client and url'
    throw new InvalidOptionError('backplane', got, 'one of them')
  }
  if (
    client !== undefined &&
    !['duplicate', 'multi', 'call'].every((method) => typeof client[method as 'call'] === 'function')
  )
    throw new InvalidOptionError('backplane.client', 'something else', 'a Redis or Cluster of ioredis or iovalkey')
  // It is not shown: it may have a password.
  if (url !== undefined && !isRedisUrl(url))
    throw new InvalidOptionError('backplane.url', 'something else', 'a URL such as redis://localhost:6379')
  if (typeof key !== 'string' || key === '')
    throw new InvalidOptionError('backplane.key', String(key), 'a key of Redis')
  if (!Number.isSafeInteger(maxLength) || maxLength < MAX_COUNT)
    throw new InvalidOptionError('backplane.maxLength', String(maxLength), `a whole number from ${MAX_COUNT}`)
  for (const name of Object.keys(limits)) {
    if (!OPTIONS.includes(name))
      throw new InvalidOptionError(`backplane.${name}`, unknownName(name, OPTIONS, 'backplane.'))
  }
  return { client, url, key, maxLength, ...limits } as Checked
}

function hostOf(url: string): string {
  const { hostname, port } = new URL(url)
  return `${hostname}:${port || 6379}`
}

function isRedisUrl(url: unknown): boolean {
  const { protocol, host } = URL.canParse(String(url)) ? new URL(String(url)) : { protocol: '', host: '' }
  return ['redis:', 'rediss:'].includes(protocol) && host !== ''
}
