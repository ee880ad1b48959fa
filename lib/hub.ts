import { randomBytes } from 'node:crypto'
import { ChunkReader } from './chunk.js'
import { Client, type ClientContext, type SseClient } from './client.js'
import { checkEventOptions, type EventOptions, encodeBody, serializeData } from './encode.js'
import { ClosedError, type DisconnectReason, DuplicateIdError, type RejectReason } from './errors.js'
import { EventLog } from './event-log.js'
import { IpLimit, type Release } from './ip-limit.js'
import type { ResolvedOptions } from './options.js'
import { Shard } from './shard.js'
import { Counters, type SseStats } from './stats.js'
import type { Request, Response } from './stream.js'

/** What a hub needs of a logger. */
export interface Logger {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** The hub as the app sees it, `app.sse`. */
export interface Sse {
  /**
   * Sends data to every client. Returns at once; never throws because of a client.
   *
   * @param data turned into text by `serialize` (`JSON.stringify`)
   * @param options `event`: its name; `id`: its own id, default `<epoch>-<seq>`
   * @throws UnserializableError, InvalidEventError, DuplicateIdError, EventTooLargeError: then nothing is broadcast
   */
  broadcast(data: unknown, options?: EventOptions): void
  /** As `broadcast`, with text as it is: CR, LF and CRLF in it reach the client as LF. */
  broadcastMessage(text: string, options?: EventOptions): void
  /**
   * As `broadcast`.
   *
   * @returns the event's id, once it is accepted. Rejects with what `broadcast` throws, and with `ClosedError` after
   *   `app.close()`.
   */
  publish(data: unknown, options?: EventOptions): Promise<string>
  /** Clients connected to this process. */
  readonly clientCount: number
  /** The clients connected to this process. */
  readonly clients: Iterable<SseClient>
  /** Figures of this process, since it began. */
  stats(): SseStats
}

/** A visit comes round to every client this often within the shorter of the two intervals it serves. */
const VISITS = 8
/** Turns over which one round of visits is spread. */
const PHASES = 32
/** The shortest and the longest wait between two turns, ms. */
const MIN_TICK = 5
const MAX_TICK = 1000
/** Least time between two warnings of dropped events, ms. */
const WARN_INTERVAL = 10_000
/** Reconnection time that clients are left with where `retry` is not set, ms: what browsers take by themselves. */
const DEFAULT_RETRY = 3000

/** Takes events in, and hands them to the clients. */
export class Hub implements Sse {
  readonly #options: ResolvedOptions
  readonly #logger: Logger
  readonly #log: EventLog
  readonly #shards: readonly Shard[]
  readonly #ipLimit: IpLimit
  readonly #counters = new Counters()
  readonly #context: ClientContext
  /** Admitted, but without their head yet. */
  readonly #waiting = new Set<Client>()
  readonly #slots = new Map<Client, Release>()
  readonly #woken: Shard[] = []
  #turn: NodeJS.Immediate | undefined
  #tendTimer: NodeJS.Timeout | undefined
  #phase = 0
  #nextNumber = 0
  #closing = false
  #saidClosed = false
  #droppedUntold = 0
  #lastWarning = Number.NEGATIVE_INFINITY

  constructor(options: ResolvedOptions, logger: Logger) {
    this.#options = options
    this.#logger = logger
    const { history, queueDepth } = options
    this.#log = new EventLog({
      // Eight base-36 digits: two lives of a log have the same name once in 10^12.
      epoch: (randomBytes(6).readUIntBE(0, 6) % 36 ** 8).toString(36).padStart(8, '0'),
      replay: history.events,
      // A slow client catches up from the log, whether or not others may replay so far.
      events: Math.max(history.events, queueDepth),
      bytes: history.bytes
    })
    this.#shards = Array.from({ length: options.shards }, () => new Shard(this.#log))
    this.#ipLimit = new IpLimit(options.maxClientsPerIp)
    this.#context = {
      log: this.#log,
      chunks: new ChunkReader(this.#log),
      counters: this.#counters,
      queueDepth,
      overflow: options.overflow,
      maxEventBytes: options.maxEventBytes,
      retry: options.retry,
      serialize: options.serialize,
      onOpen: (client) => this.#onOpen(client),
      onEnd: (client, reason) => this.#onEnd(client, reason),
      onDrop: (_client, events) => this.#onDrop(events)
    }
  }

  broadcast(data: unknown, options: EventOptions = {}): void {
    this.#accept(() => serializeData(data, this.#options.serialize), options)
  }

  broadcastMessage(text: string, options: EventOptions = {}): void {
    this.#accept(() => text, options)
  }

  async publish(data: unknown, options: EventOptions = {}): Promise<string> {
    const id = this.#accept(() => serializeData(data, this.#options.serialize), options)
    if (id === undefined) throw new ClosedError()
    return id
  }

  get clientCount(): number {
    let count = 0
    for (const shard of this.#shards) count += shard.clients.size
    return count
  }

  get clients(): Iterable<SseClient> {
    return this.#opened()
  }

  stats(): SseStats {
    let slowestLag = 0
    for (const client of this.#opened()) slowestLag = Math.max(slowestLag, client.lag)
    return this.#counters.snapshot(this.clientCount, slowestLag)
  }

  /** Whether `close` has been called. */
  get closing(): boolean {
    return this.#closing
  }

  /** Groups of clients. */
  get shards(): readonly Shard[] {
    return this.#shards
  }

  /** Begins to look after quiet and stuck clients. */
  start(): void {
    const { keepAliveInterval, stallTimeout } = this.#options
    const keepAlive = keepAliveInterval || Number.POSITIVE_INFINITY
    const stall = stallTimeout || Number.POSITIVE_INFINITY
    const shorter = Math.min(keepAlive, stall)
    if (shorter === Number.POSITIVE_INFINITY || this.#closing) return
    const tick = Math.min(MAX_TICK, Math.max(MIN_TICK, shorter / VISITS / PHASES))
    // With short intervals a turn cannot be as short as the spread asks: fewer turns make a round then.
    const phases = Math.max(1, Math.min(PHASES, Math.floor(shorter / VISITS / tick)))
    this.#tendTimer = setInterval(() => this.#tend(keepAlive, stall, phases), tick)
    this.#tendTimer.unref()
  }

  /**
   * Lets a client in: takes its slot and its place in the log. It is connected once its `open` has sent the head.
   *
   * @param lastEventId what it shows as the last event it has, if anything
   * @returns the client, or `undefined` when its address has all the streams it may have
   */
  admit(ip: string | undefined, lastEventId: string | undefined, req: Request, res: Response): Client | undefined {
    const release = this.#ipLimit.acquire(ip)
    if (release === undefined) return undefined
    const position = lastEventId === undefined ? { seq: this.#log.head } : this.#log.positionOf(lastEventId)
    const client = new Client(this.#context, this.#nextNumber++, ip, position, req, res)
    this.#slots.set(client, release)
    this.#waiting.add(client)
    return client
  }

  /** Counts a request that did not become a client. */
  reject(reason: RejectReason): void {
    this.#counters.rejected[reason]++
  }

  /**
   * Ends every stream: gives clients what was broadcast before, a jittered reconnection time and a proper end, and cuts
   * those that have not taken it within a second. Resolves when all are gone.
   */
  async close(): Promise<void> {
    this.#closing = true
    clearInterval(this.#tendTimer)
    clearImmediate(this.#turn)
    this.#woken.length = 0
    for (const client of [...this.#waiting]) client.end('shutdown')
    const gone = [...this.#opened()].map((client) => {
      const promise = client.gone()
      client.end('shutdown', this.retryWithJitter())
      return promise
    })
    await Promise.all(gone)
    this.#context.chunks.clear()
  }

  /** A reconnection time between once and twice the usual, ms, so that clients do not come back all at once. */
  retryWithJitter(): number {
    return Math.round((this.#options.retry ?? DEFAULT_RETRY) * (1 + Math.random()))
  }

  *#opened(): Generator<Client> {
    for (const shard of this.#shards) yield* shard.clients
  }

  /** @returns the event's id, or `undefined` after `close` */
  #accept(text: () => string, options: EventOptions): string | undefined {
    if (this.#closing) {
      if (!this.#saidClosed)
        this.#logger.warn({}, 'SSE: an event was broadcast after the app had closed; it goes nowhere')
      this.#saidClosed = true
      return undefined
    }
    checkEventOptions(options)
    const { id } = options
    if (id !== undefined && !this.#log.isFree(id)) throw new DuplicateIdError(id)
    const entry = this.#log.encode(encodeBody(text(), options, this.#options.maxEventBytes), id)
    this.#makeRoom(entry.frame.length)
    this.#log.append(entry)
    this.#counters.events++
    this.#wake()
    return entry.id
  }

  /** A burst larger than the log would evict events that have not been offered to anyone: they are flushed first. */
  #makeRoom(bytes: number): void {
    if (this.#woken.length === 0) return
    const evicted = this.#log.oldestAfter(bytes) - 1
    const now = performance.now()
    for (const shard of this.#woken) if (shard.offered < evicted) shard.flush(now)
  }

  #wake(): void {
    for (const shard of this.#shards) {
      if (shard.clients.size === 0 || shard.woken) continue
      shard.woken = true
      this.#woken.push(shard)
    }
    if (this.#woken.length > 0) this.#turn ??= setImmediate(this.#flushOne)
  }

  readonly #flushOne = (): void => {
    this.#turn = undefined
    const shard = this.#woken.shift()!
    shard.woken = false
    shard.flush(performance.now())
    // Set from within a turn, the next comes after the event loop has served I/O.
    if (this.#woken.length > 0) this.#turn ??= setImmediate(this.#flushOne)
  }

  #tend(keepAlive: number, stall: number, phases: number): void {
    const now = performance.now()
    this.#phase = (this.#phase + 1) % phases
    for (const shard of this.#shards) shard.tend(now, this.#phase, phases, keepAlive, stall)
    this.#warnOfDrops(now)
  }

  #onOpen(client: Client): void {
    this.#waiting.delete(client)
    this.#counters.accepted++
    this.#shards[client.number % this.#shards.length]!.add(client)
    this.#logger.debug({ client: client.id, ip: client.ip }, 'SSE client connected')
  }

  #onEnd(client: Client, reason: DisconnectReason): void {
    this.#slots.get(client)?.()
    this.#slots.delete(client)
    if (this.#waiting.delete(client)) return
    this.#shards[client.number % this.#shards.length]!.delete(client)
    this.#counters.disconnects[reason]++
    this.#logger.debug({ client: client.id, ip: client.ip, reason }, 'SSE client disconnected')
    const { onDisconnect } = this.#options
    // In a turn of its own: the app's code may broadcast, which must not happen amid a flush.
    if (onDisconnect !== undefined) {
      Promise.resolve()
        .then(() => onDisconnect(client, reason))
        .catch((err) => this.#logger.error({ err, client: client.id }, 'SSE onDisconnect failed'))
    }
  }

  #onDrop(events: number): void {
    this.#droppedUntold += events
    this.#warnOfDrops(performance.now())
  }

  #warnOfDrops(now: number): void {
    if (this.#droppedUntold === 0 || now - this.#lastWarning < WARN_INTERVAL) return
    this.#logger.warn({ dropped: this.#droppedUntold }, 'SSE clients read too slowly and missed events')
    this.#droppedUntold = 0
    this.#lastWarning = now
  }
}
