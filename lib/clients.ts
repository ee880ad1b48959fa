import type { Audience } from './audience.js'
import { Caretaker } from './caretaker.js'
import { type Arrival, Client, type ClientContext } from './client.js'
import { DropReports } from './drop-reports.js'
import type { DisconnectReason } from './errors.js'
import type { FlushQueue } from './flush-queue.js'
import type { Logger } from './logger.js'
import type { ResolvedOptions } from './options.js'
import { Partings } from './partings.js'
import { Shard } from './shard.js'

/** Reconnection time that clients are left with where `retry` is not set, ms: what browsers take by themselves. */
const DEFAULT_RETRY = 3000

/** What clients read, and count into. */
export type ClientsContext = Pick<ClientContext, 'log' | 'reader' | 'audiences' | 'counters' | 'encoder'>

/** The clients of this process, in shards. */
export class Clients {
  readonly shards: readonly Shard[]
  readonly #options: ResolvedOptions
  readonly #logger: Logger
  readonly #caretaker: Caretaker
  readonly #partings: Partings
  readonly #context: ClientContext
  /** Admitted, but without their head yet. */
  readonly #waiting = new Set<Client>()
  #nextNumber = 0

  constructor(options: ResolvedOptions, context: ClientsContext, flushes: FlushQueue, logger: Logger) {
    this.#options = options
    this.#logger = logger
    this.shards = Array.from({ length: options.shards }, () => new Shard(context.log, (shard) => flushes.add(shard)))
    const drops = new DropReports((dropped) => {
      logger.warn({ dropped }, 'SSE clients read too slowly and missed events')
    })
    this.#caretaker = new Caretaker(this.shards, options, (now) => drops.tell(now))
    this.#partings = new Partings((client, reason) => this.#tellEnd(client, reason))
    const { queueDepth, overflow, maxEventBytes, retry } = options
    this.#context = {
      ...context,
      queueDepth,
      overflow,
      maxEventBytes,
      retry,
      subscriptionLimits: options,
      onOpen: (client) => this.#onOpen(client),
      onAudience: (client, before) => this.#onAudience(client, before),
      onEnd: (client, reason) => this.#onEnd(client, reason),
      onLoss: (events) => {
        context.counters.dropped += events
        drops.add(events)
      }
    }
  }

  /** Those connected. */
  *[Symbol.iterator](): Generator<Client> {
    for (const shard of this.shards) yield* shard.clients()
  }

  /** Number of those connected. */
  get size(): number {
    let count = 0
    for (const shard of this.shards) count += shard.size
    return count
  }

  /** Number of those connected, or about to be. */
  get population(): number {
    return this.size + this.#waiting.size
  }

  /** Events by which the slowest is behind. */
  get slowestLag(): number {
    let slowest = 0
    for (const client of this) slowest = Math.max(slowest, client.lag)
    return slowest
  }

  /** Begins to look after quiet and stuck ones. */
  start(): void {
    this.#caretaker.start()
  }

  /** Lets one in: gives it its place in the log. It is connected once its `open` has sent the head. */
  admit(arrival: Omit<Arrival, 'number'>): Client {
    const client = new Client(this.#context, { ...arrival, number: this.#nextNumber++ })
    this.#waiting.add(client)
    return client
  }

  /** All of them have missed events. */
  skipGap(): void {
    for (const client of [...this.#waiting, ...this]) client.skipGap()
  }

  /**
   * Ends every stream: gives clients what was broadcast before, a jittered reconnection time and a proper end, and cuts
   * those that have not taken it within a second. Resolves when all are gone, and `onDisconnect` is through.
   */
  async close(): Promise<void> {
    this.#caretaker.stop()
    for (const client of [...this.#waiting]) client.end('shutdown')
    const gone = [...this].map((client) => {
      const promise = client.whenGone()
      client.end('shutdown', { retry: this.retryWithJitter() })
      return promise
    })
    await Promise.all(gone)
    await this.#partings.settle()
    this.#context.reader.clear()
  }

  /** A reconnection time between once and twice the usual, ms, so that clients do not come back all at once. */
  retryWithJitter(): number {
    return Math.round((this.#options.retry ?? DEFAULT_RETRY) * (1 + Math.random()))
  }

  #shardOf(client: Client): Shard {
    return this.shards[client.number % this.shards.length]!
  }

  #onOpen(client: Client): void {
    this.#waiting.delete(client)
    this.#context.counters.accepted++
    this.#shardOf(client).add(client, client.audience)
    this.#logger.debug({ client: client.id, ip: client.ip }, 'SSE client connected')
  }

  #onAudience(client: Client, before: Audience): void {
    if (this.#waiting.has(client)) return
    const shard = this.#shardOf(client)
    shard.delete(client, before)
    shard.add(client, client.audience)
  }

  #onEnd(client: Client, reason: DisconnectReason): void {
    if (this.#waiting.delete(client)) return
    this.#shardOf(client).delete(client, client.audience)
    this.#context.counters.disconnects[reason]++
    this.#partings.add(client, reason)
  }

  async #tellEnd(client: Client, reason: DisconnectReason): Promise<void> {
    this.#logger.debug({ client: client.id, ip: client.ip, reason }, 'SSE client disconnected')
    try {
      await this.#options.onDisconnect?.(client, reason)
    } catch (err) {
      this.#logger.error({ err, client: client.id }, 'SSE onDisconnect failed')
    }
  }
}
