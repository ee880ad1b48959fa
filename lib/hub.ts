import { randomBytes } from 'node:crypto'
import { type Audience, Audiences } from './audience.js'
import { Caretaker } from './caretaker.js'
import { type Arrival, Client, type ClientContext } from './client.js'
import { DropReports } from './drop-reports.js'
import type { EventOptions } from './encode.js'
import {
  ClosedError,
  type DisconnectReason,
  DuplicateIdError,
  InvalidEventError,
  InvalidOptionError,
  type RejectReason
} from './errors.js'
import { type EncodedEvent, EventEncoder } from './event-encoder.js'
import { EventLog, type Position } from './event-log.js'
import { FlushQueue } from './flush-queue.js'
import { LogReader } from './log-reader.js'
import type { ResolvedOptions } from './options.js'
import { Partings } from './partings.js'
import { Shard } from './shard.js'
import type { CloseOptions, SseClient } from './sse-client.js'
import { Counters, type SseStats } from './stats.js'
import { Waiters } from './waiters.js'

/** What a hub needs of a logger. */
export interface Logger {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Reconnection time that clients are left with where `retry` is not set, ms: what browsers take by themselves. */
const DEFAULT_RETRY = 3000

/** Takes events in, and hands them to the clients. */
export class Hub {
  readonly #options: ResolvedOptions
  readonly #logger: Logger
  readonly #log: EventLog
  readonly #audiences = new Audiences()
  readonly #shards: readonly Shard[]
  readonly #flushes = new FlushQueue()
  readonly #caretaker: Caretaker
  readonly #partings: Partings
  readonly #encoder: EventEncoder
  readonly #drops: DropReports
  readonly #counters = new Counters()
  readonly #context: ClientContext
  /** Admitted, but without their head yet. */
  readonly #waiting = new Set<Client>()
  #nextNumber = 0
  #closing = false
  #closed = false
  #saidClosed = false

  constructor(options: ResolvedOptions, logger: Logger) {
    this.#options = options
    this.#logger = logger
    const { history, queueDepth, overflow, maxEventBytes, retry } = options
    this.#encoder = new EventEncoder(options)
    this.#drops = new DropReports((dropped) => {
      logger.warn({ dropped }, 'SSE clients read too slowly and missed events')
    })
    this.#log = new EventLog({
      // Eight base-36 digits: two lives of a log have the same name once in 10^12.
      epoch: (randomBytes(6).readUIntBE(0, 6) % 36 ** 8).toString(36).padStart(8, '0'),
      replay: history.events,
      // A slow client catches up from the log, whether or not others may replay so far.
      events: Math.max(history.events, queueDepth),
      bytes: history.bytes
    })
    this.#shards = Array.from(
      { length: options.shards },
      () => new Shard(this.#log, (shard) => this.#flushes.add(shard))
    )
    this.#caretaker = new Caretaker(this.#shards, options, (now) => this.#drops.tell(now))
    this.#partings = new Partings((client, reason) => this.#tellEnd(client, reason))
    this.#context = {
      log: this.#log,
      reader: new LogReader(this.#log, this.#audiences.everyone),
      audiences: this.#audiences,
      counters: this.#counters,
      queueDepth,
      overflow,
      maxEventBytes,
      retry,
      encoder: this.#encoder,
      subscriptionLimits: options,
      onOpen: (client) => this.#onOpen(client),
      onAudience: (client, before) => this.#onAudience(client, before),
      onEnd: (client, reason) => this.#onEnd(client, reason),
      onLoss: (events) => {
        this.#counters.dropped += events
        this.#drops.add(events)
      }
    }
  }

  /** Whether `close` has been called. */
  get closing(): boolean {
    return this.#closing
  }

  /** The log, for those who read it otherwise than clients. */
  get log(): EventLog {
    return this.#log
  }

  /** Requests that wait for an event. */
  readonly waiters = new Waiters()

  /** Who hears what. */
  get audiences(): Audiences {
    return this.#audiences
  }

  /** Groups of clients. */
  get shards(): readonly Shard[] {
    return this.#shards
  }

  /** Begins to look after quiet and stuck clients. */
  start(): void {
    if (!this.#closing) this.#caretaker.start()
  }

  /** As `broadcast`. @returns the event's id, or `undefined` after `close` */
  accept(data: unknown, options?: EventOptions): string | undefined {
    return this.#append(this.#checkId(this.#encoder.encode(data, options)))
  }

  /** As `broadcastMessage`. @returns the event's id, or `undefined` after `close` */
  acceptText(text: string, options?: EventOptions): string | undefined {
    return this.#append(this.#checkId(this.#encoder.encodeText(text, options)))
  }

  /** Accepts all of these events, or none. Throws as `broadcast`, and ClosedError after `close`. */
  acceptAll(events: readonly ({ data: unknown } & EventOptions)[]): string[] {
    const encoded = events.map(({ data, ...options }) => this.#encoder.encode(data, options))
    const ids = new Set<string>()
    for (const event of encoded) {
      const id = this.#checkId(event).id?.trim()
      if (id === undefined) continue
      if (ids.has(id)) throw new DuplicateIdError(id)
      ids.add(id)
    }
    return encoded.map((event) => {
      const id = this.#append(event)
      if (id === undefined) throw new ClosedError()
      return id
    })
  }

  /** Runs no code of the app, so that nothing comes between the place of an event and the event. */
  #append(event: EncodedEvent): string | undefined {
    if (this.#closing) {
      this.#sayClosed()
      return undefined
    }
    const { body, id, topic } = event
    // A burst larger than the log would evict events that have been offered to nobody: they are flushed first.
    this.#flushes.hurry(this.#log.oldestAfter(this.#log.sizeOf(body, id)) - 1)
    const entry = this.#log.append(body, event)
    this.#counters.events++
    if (topic === undefined) {
      for (const shard of this.#shards) shard.touchAll()
      this.waiters.wakeAll()
    } else {
      for (const audience of this.#audiences.of(topic)) audience.hear(entry)
    }
    return entry.id
  }

  /** Where a client stands in the log that shows an id, or none. */
  positionOf(lastEventId: string | undefined): Position {
    return lastEventId === undefined ? { seq: this.#log.head } : this.#log.positionOf(lastEventId)
  }

  /** Lets a client in: gives it its place in the log. It is connected once its `open` has sent the head. */
  admit(arrival: Omit<Arrival, 'number'>): Client {
    const client = new Client(this.#context, { ...arrival, number: this.#nextNumber++ })
    this.#waiting.add(client)
    return client
  }

  /** Clients connected, or about to be. */
  get population(): number {
    return this.clientCount + this.#waiting.size
  }

  /** Counts a request that did not become a client. */
  reject(reason: RejectReason): void {
    this.#counters.rejected[reason]++
  }

  /**
   * Ends every stream: gives clients what was broadcast before, a jittered reconnection time and a proper end, and cuts
   * those that have not taken it within a second. Resolves when all are gone, and `onDisconnect` is through.
   */
  async close(): Promise<void> {
    this.#closing = true
    this.#caretaker.stop()
    this.#flushes.stop()
    this.waiters.wakeAll()
    for (const client of [...this.#waiting]) client.end('shutdown')
    const gone = [...this.clients()].map((client) => {
      const promise = client.whenGone()
      client.end('shutdown', { retry: this.retryWithJitter() })
      return promise
    })
    await Promise.all(gone)
    await this.#partings.settle()
    this.#closed = true
    this.#context.reader.clear()
  }

  /** A reconnection time between once and twice the usual, ms, so that clients do not come back all at once. */
  retryWithJitter(): number {
    return Math.round((this.#options.retry ?? DEFAULT_RETRY) * (1 + Math.random()))
  }

  /** Clients connected. */
  get clientCount(): number {
    let count = 0
    for (const shard of this.#shards) count += shard.size
    return count
  }

  /** Counters and gauges. */
  stats(): SseStats {
    let slowestLag = 0
    for (const client of this.clients()) slowestLag = Math.max(slowestLag, client.lag)
    return this.#counters.snapshot(this.clientCount, slowestLag)
  }

  /** Ends the streams of those a predicate picks. @returns how many */
  disconnect(predicate: (client: SseClient) => boolean, options?: CloseOptions): number {
    const picked = [...this.clients()].filter((client) => {
      const answer: unknown = predicate(client)
      // A promise would pick everybody.
      if (answer instanceof Promise)
        throw new InvalidOptionError('predicate', 'a function that gives a promise', 'one that gives a boolean')
      return answer
    })
    for (const client of picked) client.close(options)
    return picked.length
  }

  /** Those connected. */
  *clients(): Generator<Client> {
    for (const shard of this.#shards) yield* shard.clients()
  }

  /** Throws where its own id could not be told from another's. */
  #checkId(event: EncodedEvent): EncodedEvent {
    const { id } = event
    if (id === undefined) return event
    if (this.#log.has(id)) throw new DuplicateIdError(id)
    if (this.#log.isReserved(id)) {
      throw new InvalidEventError('id', `'${id}'`, 'no id of the form that the log gives events itself')
    }
    return event
  }

  #sayClosed(): void {
    // Amid the closing it is what `onDisconnect` broadcasts, and nobody's mistake.
    if (!this.#closed || this.#saidClosed) return
    this.#logger.warn({}, 'SSE: an event was broadcast after the app had closed; it goes nowhere')
    this.#saidClosed = true
  }

  #shardOf(client: Client): Shard {
    return this.#shards[client.number % this.#shards.length]!
  }

  #onOpen(client: Client): void {
    this.#waiting.delete(client)
    this.#counters.accepted++
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
    this.#counters.disconnects[reason]++
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
