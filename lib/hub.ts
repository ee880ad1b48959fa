import { randomBytes } from 'node:crypto'
import { Caretaker } from './caretaker.js'
import { ChunkReader } from './chunk.js'
import { Client, type ClientContext, type SseClient } from './client.js'
import { type EventOptions, encodeBody, readEventOptions, serializeData } from './encode.js'
import { ClosedError, type DisconnectReason, DuplicateIdError, InvalidEventError, type RejectReason } from './errors.js'
import { EventLog } from './event-log.js'
import { IpLimit, type Release } from './ip-limit.js'
import type { ResolvedOptions } from './options.js'
import { Shard } from './shard.js'
import type { Sse } from './sse.js'
import { Counters, type SseStats } from './stats.js'
import type { Request, Response } from './stream.js'

/** What a hub needs of a logger. */
export interface Logger {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Least time between two warnings of dropped events, ms. */
const WARN_INTERVAL = 10_000
/** Reconnection time that clients are left with where `retry` is not set, ms: what browsers take by themselves. */
const DEFAULT_RETRY = 3000
/** How long `close` waits for `onDisconnect`, ms. */
const PARTING_GRACE = 500

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
  readonly #caretaker: Caretaker
  #nextNumber = 0
  #closing = false
  #closed = false
  /** Calls of `onDisconnect` that are under way. */
  readonly #partings = new Set<Promise<void>>()
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
    const limits = {
      keepAliveInterval: options.keepAliveInterval || Number.POSITIVE_INFINITY,
      stallTimeout: options.stallTimeout || Number.POSITIVE_INFINITY
    }
    this.#caretaker = new Caretaker(this.#shards, limits, (now) => this.#warnOfDrops(now))
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
    return { [Symbol.iterator]: () => this.#opened() }
  }

  stats(): SseStats {
    let slowestLag = 0
    for (const client of this.#opened()) slowestLag = Math.max(slowestLag, client.lag)
    return this.#counters.snapshot(this.clientCount, slowestLag)
  }

  /** What the app gets: the public part, which may be taken apart. */
  get face(): Sse {
    const hub = this
    return Object.freeze({
      broadcast: hub.broadcast.bind(hub),
      broadcastMessage: hub.broadcastMessage.bind(hub),
      publish: hub.publish.bind(hub),
      get clientCount() {
        return hub.clientCount
      },
      get clients() {
        return hub.clients
      },
      stats: hub.stats.bind(hub)
    })
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
    if (!this.#closing) this.#caretaker.start()
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
    this.#caretaker.stop()
    clearImmediate(this.#turn)
    this.#woken.length = 0
    for (const client of [...this.#waiting]) client.end('shutdown')
    const gone = [...this.#opened()].map((client) => {
      const promise = client.whenGone()
      client.end('shutdown', this.retryWithJitter())
      return promise
    })
    await Promise.all(gone)
    await this.#whenParted()
    this.#closed = true
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
    const checked = readEventOptions(options)
    const { id } = checked
    const body = encodeBody(text(), checked, this.#options.maxEventBytes)
    // What follows runs no code of the app: an event that its `serialize` broadcasts is in the log by now.
    if (this.#closing) {
      this.#sayClosed()
      return undefined
    }
    if (id !== undefined) this.#checkOwnId(id)
    this.#makeRoom(this.#log.sizeOf(body, id))
    const entry = this.#log.append(body, id)
    this.#counters.events++
    this.#wake()
    return entry.id
  }

  #checkOwnId(id: string): void {
    if (this.#log.has(id)) throw new DuplicateIdError(id)
    if (this.#log.isReserved(id)) {
      throw new InvalidEventError('id', `'${id}'`, 'no id of the form that the log gives events itself')
    }
  }

  /** The app's own goodbyes are waited for, but not for ever: they may use what the app closes next. */
  async #whenParted(): Promise<void> {
    // Those that the last clients' end has asked for begin in a microtask.
    await null
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PARTING_GRACE)
    })
    await Promise.race([Promise.all(this.#partings), patience])
    clearTimeout(timer)
  }

  #sayClosed(): void {
    // Amid the closing it is what `onDisconnect` broadcasts, and nobody's mistake.
    if (!this.#closed) return
    if (!this.#saidClosed)
      this.#logger.warn({}, 'SSE: an event was broadcast after the app had closed; it goes nowhere')
    this.#saidClosed = true
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
    // The app's code, loggers included, may broadcast, which must not happen amid a flush.
    queueMicrotask(() => {
      const parting = this.#tellEnd(client, reason)
      this.#partings.add(parting)
      parting.finally(() => this.#partings.delete(parting))
    })
  }

  async #tellEnd(client: Client, reason: DisconnectReason): Promise<void> {
    this.#logger.debug({ client: client.id, ip: client.ip, reason }, 'SSE client disconnected')
    try {
      await this.#options.onDisconnect?.(client, reason)
    } catch (err) {
      this.#logger.error({ err, client: client.id }, 'SSE onDisconnect failed')
    }
  }

  #onDrop(events: number): void {
    if (this.#droppedUntold === 0) queueMicrotask(() => this.#warnOfDrops(performance.now()))
    this.#droppedUntold += events
  }

  #warnOfDrops(now: number): void {
    if (this.#droppedUntold === 0 || now - this.#lastWarning < WARN_INTERVAL) return
    this.#logger.warn({ dropped: this.#droppedUntold }, 'SSE clients read too slowly and missed events')
    this.#droppedUntold = 0
    this.#lastWarning = now
  }
}
