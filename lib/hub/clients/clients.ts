import type { IncomingHttpHeaders } from 'node:http'
import type { DisconnectReason } from '../../api/errors.js'
import type { Logger } from '../../api/input/logger.js'
import type { ResolvedOptions } from '../../api/options.js'
import { type Chunk, OwnChunk } from '../../log/chunk.js'
import { encodeKeepAlive } from '../../log/encode.js'
import type { LogEntry } from '../../log/log-entry.js'
import { takesRetry } from '../../wire/stream-request.js'
import { inSlices, waitAtMost } from '../../wire/time-slices.js'
import { Census } from './census.js'
import { Client } from './client.js'
import type { Arrival, ClientContext, Source } from './client-context.js'
import { DisconnectNotices } from './disconnect-notices.js'
import { DropReports } from './drop-reports.js'
import { abortEndSignal } from './end-signal.js'
import type { FlushQueue } from './flush-queue.js'
import { Housekeeping } from './housekeeping.js'
import { Shard } from './shard.js'

/** Reconnection time that clients are left with where `retry` is not set, ms: what browsers take by themselves. */
const DEFAULT_RETRY = 3000

/** How long clients may read on while the app closes, how often is looked for those that have, and when all are cut, ms. */
const READING_TIME = 1000
const ROUND = 20
const CLOSING_TIME = 1500
/** When those are cut, ms, to whom a process with many clients has not come by then: to end a stream costs as little. */
const LEAVING_TIME = 2500

/** Clients of one audience in one shard, beyond which others go elsewhere: a shard's turn is to stay short. */
const FEW = 64
/** Clients that came one after another and share a shard: they lie close together in memory, and are written to so. */
const NEIGHBOURS = 8

/** What clients read, and count into. */
export type ClientsContext = Pick<
  ClientContext,
  'log' | 'reader' | 'audiences' | 'counters' | 'diagnostics' | 'encoder'
>

/** The clients of this process, in shards. */
export class Clients {
  readonly shards: readonly Shard[]
  readonly census: Census
  readonly #options: ResolvedOptions
  readonly #housekeeping: Housekeeping
  readonly #notices: DisconnectNotices
  readonly #context: ClientContext
  /** Connected or admitted. */
  readonly #byId = new Map<string, Client>()
  /** Admitted, but without their head yet. */
  readonly #waiting = new Set<Client>()
  readonly #busy = new Set<Client>()
  /** Those of clients that read another log. */
  readonly #sourceContexts = new WeakMap<Source, ClientContext>()
  #nextNumber = 0
  /** The keepalive for those whose cursor has not moved. */
  readonly #quietKeepAlive: Chunk
  /** The keepalive made last, and the cursor in it. */
  #lastKeepAlive: { cursor: string; chunk: Chunk } | undefined

  constructor(options: ResolvedOptions, context: ClientsContext, flushes: FlushQueue, logger: Logger) {
    this.#options = options
    this.#quietKeepAlive = new OwnChunk([encodeKeepAlive(options.keepAlive === 'event')])
    this.shards = Array.from({ length: options.shards }, () => new Shard(context.log, (shard) => flushes.add(shard)))
    this.census = new Census(this.shards)
    const drops = new DropReports((dropped) => {
      logger.warn({ dropped }, 'SSE: clients read too slowly and missed events')
    })
    this.#housekeeping = new Housekeeping(this.shards, options, (now) => drops.tell(now))
    this.#notices = new DisconnectNotices((client, reason) => client.scope.run(() => this.#tellEnd(client, reason)))
    const { queueDepth, overflow, maxEventBytes } = options
    this.#context = {
      ...context,
      queueDepth,
      overflow,
      maxEventBytes,
      busy: this.#busy,
      isClosing: false,
      retry: options.retry,
      keepAlive: Number.isFinite(options.keepAliveInterval) ? options.keepAliveInterval : 0,
      keepAliveAt: (cursor) => this.#keepAliveAt(cursor),
      subscriptionLimits: options,
      onOpen: (client) => this.#onOpen(client),
      onAudience: (client) => this.#onAudience(client as Client),
      onEnd: (client, reason) => this.#onEnd(client, reason),
      onFail: (client, error) => this.#onFail(client, error),
      onLoss: (client, events) => {
        context.counters.dropped += events
        drops.add(events)
        context.diagnostics.drop(client, events)
      }
    }
  }

  /**
   * Those connected when it begins, each once. Who leaves meanwhile is left out; who comes, or moves to another shard
   * for hearing other topics, is not visited for that.
   */
  *[Symbol.iterator](): Generator<Client> {
    for (const client of this.shards.flatMap((shard) => shard.clients())) if (!client.closed) yield client
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
    for (const shard of this.shards) slowest = Math.max(slowest, shard.slowestLag)
    return slowest
  }

  /** The connected one with this id. */
  find(id: string): Client | undefined {
    return this.#byId.get(id)
  }

  /** Begins to look after quiet and stuck ones. */
  start(): void {
    this.#housekeeping.start()
  }

  /** Lets one in: gives it its place in the log. It is connected once its `open` has sent the head. */
  admit(arrival: Arrival): Client {
    const { source } = arrival
    const context = source === undefined ? this.#context : this.#contextOf(source)
    const client = new Client(context, this.#nextNumber++, arrival)
    this.#waiting.add(client)
    return client
  }

  /** An event has been appended that leaves out the client with this id, if there is one. */
  spare(id: string, entry: LogEntry): void {
    this.#byId.get(id)?.spare(entry)
  }

  /** Whether some may have to be hurried where events leave the log. */
  get isBusy(): boolean {
    return this.#busy.size > 0
  }

  /** Lets nobody lose the events up to `seq`, which are about to leave the log, for what is done for it meanwhile. */
  hurry(seq: number): void {
    for (const client of this.#busy) client.hurry(seq)
  }

  /** All of them that read a log have missed events of it. */
  skipGap(log = this.#context.log): void {
    for (const client of [...this.#waiting, ...this]) if (client.reads(log)) client.skipGap()
  }

  /**
   * Ends every stream: gives clients what was broadcast before, a jittered reconnection time and a proper end. Those
   * that have the least to read come first. After a second the others are ended where they are, from where they will
   * resume; after a second and a half those are cut that have not taken their last bytes. Resolves when all are gone,
   * and `onDisconnect` is through.
   */
  async close(): Promise<void> {
    const start = performance.now()
    this.#housekeeping.stop()
    this.#context.isClosing = true
    const { overLimit } = this.#options
    const retry = (headers: IncomingHttpHeaders) =>
      takesRetry(headers, overLimit) ? this.retryWithJitter() : undefined
    await inSlices([...this.#waiting], (client) => {
      if (client.turnAway(retry)) this.#context.counters.rejected.closing++
    })
    const lags = new Map<Client, number>()
    const ends: Promise<void>[] = []
    await inSlices([...this], (client) => {
      lags.set(client, client.lag)
      ends.push(client.whenGone())
    })
    const nearestFirst = [...lags.keys()].sort((a, b) => lags.get(a)! - lags.get(b)!)
    const gone = Promise.all(ends)
    const lasts = (ms: number) => performance.now() - start < ms
    for (let left = nearestFirst; left.length > 0 && lasts(LEAVING_TIME); left = left.filter(({ closed }) => !closed)) {
      await inSlices(left, (client) => {
        if (lasts(LEAVING_TIME)) client.leave({ retry: this.retryWithJitter() }, !lasts(READING_TIME))
      })
      await waitAtMost(ROUND, gone)
    }
    await waitAtMost(start + CLOSING_TIME - performance.now(), gone)
    await inSlices(nearestFirst, (client) => client.cut())
    // A response of another class than Node's may never tell that it has closed.
    await waitAtMost(ROUND, gone)
    await this.#notices.settle()
    this.#context.reader.clear()
  }

  /** A reconnection time between once and twice the usual, ms, so that clients do not come back all at once. */
  retryWithJitter(): number {
    return Math.round((this.#options.retry ?? DEFAULT_RETRY) * (1 + Math.random()))
  }

  /** Who reads another log hears nothing but what it was let in for. */
  #contextOf(source: Source): ClientContext {
    let context = this.#sourceContexts.get(source)
    if (context === undefined) {
      const limits = { ...this.#options, maxTopics: 1 }
      const { log, reader, audiences, queueDepth } = source
      context = Object.assign(Object.create(this.#context), {
        ...{ log, reader, audiences, queueDepth },
        subscriptionLimits: limits
      })
      this.#sourceContexts.set(source, context!)
    }
    return context!
  }

  /** Few clients of one audience are kept together, to be found at once; many are spread. */
  #shardFor({ number, audience }: Client): Shard {
    const { shards } = this
    const home = shards[audience.number % shards.length]!
    const isFew = audience !== this.#context.audiences.everyone && home.countOf(audience) < FEW
    return isFew ? home : shards[Math.floor(number / NEIGHBOURS) % shards.length]!
  }

  /** Clients that are kept alive between two events are told the same. */
  #keepAliveAt(cursor: string | undefined): Chunk {
    if (cursor === undefined) return this.#quietKeepAlive
    let last = this.#lastKeepAlive
    if (last?.cursor !== cursor)
      last = this.#lastKeepAlive = { cursor, chunk: new OwnChunk([encodeKeepAlive(true, cursor)]) }
    return last.chunk
  }

  #onOpen(client: Client): void {
    this.#waiting.delete(client)
    // Before its head nobody knows its id.
    this.#byId.set(client.id, client)
    this.#context.counters.accepted++
    this.#shardFor(client).add(client)
    client.scope.log.debug(logFields(client), 'SSE: client connected')
  }

  #onAudience(client: Client): void {
    client.moveOut()
    this.#shardFor(client).add(client)
  }

  #onEnd(client: Client, reason: DisconnectReason): void {
    this.#byId.delete(client.id)
    if (this.#waiting.delete(client)) {
      queueMicrotask(() => client.scope.abort())
      return
    }
    client.moveOut()
    this.#context.counters.disconnects[reason]++
    this.#notices.add(client, reason)
  }

  #onFail(client: Client, err: unknown): void {
    if (this.#waiting.has(client)) this.#context.counters.rejected.failed++
    client.scope.log.error(
      { err, ...logFields(client) },
      'SSE: the response of a client cannot be written, and the client is disconnected'
    )
  }

  async #tellEnd(client: Client, reason: DisconnectReason): Promise<void> {
    client.scope.abort()
    abortEndSignal(client, reason)
    this.#context.diagnostics.disconnect(client, reason, client.openedAt)
    client.scope.log.debug({ ...logFields(client), reason }, 'SSE: client disconnected')
    try {
      await this.#options.onDisconnect?.(client, reason)
    } catch (err) {
      client.scope.log.error({ err, ...logFields(client) }, 'SSE: onDisconnect failed')
    }
  }
}

/** A client in a line of the log. Serializers go by the name of a field: an app has one for `client`, but not for this. */
export function logFields({ id, ip }: Client): { sseClient: { id: string; ip: string | undefined } } {
  return { sseClient: { id, ip } }
}
