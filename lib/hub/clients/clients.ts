// The clients of this process: admits them, spreads them over shards, and ends their streams when the app closes. What
// a single client does is in client.ts.

import type { IncomingHttpHeaders } from 'node:http'
import type { DisconnectReason } from '../../api/errors.js'
import type { Logger } from '../../api/input/logger.js'
import type { ResolvedOptions } from '../../api/options.js'
import type { LogEntry } from '../../log/log-entry.js'
import { takesRetry } from '../../wire/stream-request.js'
import { inSlices } from '../../wire/time-slices.js'
import { Census } from './census.js'
import { Client } from './client.js'
import type { Arrival, ClientContext, Source } from './client-context.js'
import { DisconnectNotices } from './disconnect-notices.js'
import { DropReports } from './drop-reports.js'
import { abortEndSignal } from './end-signal.js'
import type { FlushQueue } from './flush-queue.js'
import { Housekeeping } from './housekeeping.js'
import { KeepAlives } from './keep-alives.js'
import { Shard } from './shard.js'
import { endStreams } from './shutdown.js'

/**
 * Reconnection time that ended streams leave clients with if `retry` is not set, ms: about what browsers use by
 * default.
 */
const DEFAULT_RETRY = 3000

/**
 * Number of clients that are kept together in one shard: those of a small audience, so that an event wakes that shard alone,
 * and of a large one those that connected one after another. Those are close together in memory, so that writing to them in
 * turn costs less.
 */
const TOGETHER = 64

/** What `Clients` needs of the hub. */
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
  /** Connected clients by id. */
  readonly #byId = new Map<string, Client>()
  /** Clients that are admitted, but whose response headers have not been sent yet. */
  readonly #waiting = new Set<Client>()
  /** Contexts of clients that read another log. */
  readonly #sourceContexts = new WeakMap<Source, ClientContext>()
  #nextNumber = 0

  constructor(options: ResolvedOptions, context: ClientsContext, flushes: FlushQueue, logger: Logger) {
    this.#options = options
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
      busy: new Set(),
      isClosing: false,
      retry: options.retry,
      keepAlive: Number.isFinite(options.keepAliveInterval) ? options.keepAliveInterval : 0,
      keepAlives: new KeepAlives(options.keepAlive),
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
   * The clients that are connected when the iteration begins, each once. Clients that disconnect meanwhile are left
   * out; those that connect are not visited, and those that move to another shard are not visited again.
   */
  *[Symbol.iterator](): Generator<Client> {
    for (const client of this.shards.flatMap((shard) => shard.clients())) if (!client.closed) yield client
  }

  /** Number of connected clients. */
  get size(): number {
    let count = 0
    for (const shard of this.shards) count += shard.size
    return count
  }

  /** Number of clients that are connected or admitted. */
  get population(): number {
    return this.size + this.#waiting.size
  }

  /** The connected client with this id. */
  find(id: string): Client | undefined {
    return this.#byId.get(id)
  }

  /** Starts housekeeping. */
  start(): void {
    this.#housekeeping.start()
  }

  /** Creates a client at its place in the log. It is connected once its `open` has sent the response headers. */
  admit(arrival: Arrival): Client {
    const { source } = arrival
    const context = source === undefined ? this.#context : this.#contextOf(source)
    const client = new Client(context, this.#nextNumber++, arrival)
    this.#waiting.add(client)
    return client
  }

  /** Tells the client with this id, if there is one, that an appended event excludes it. */
  spare(id: string, entry: LogEntry): void {
    this.#byId.get(id)?.spare(entry)
  }

  /** Whether `hurry` has something to do: some clients may be compressing. */
  get isBusy(): boolean {
    return this.#context.busy.size > 0
  }

  /**
   * Makes clients that are compressing read on at once, so that they do not lose events up to `seq`, which are about to
   * be evicted.
   */
  hurry(seq: number): void {
    for (const client of this.#context.busy) client.hurry(seq)
  }

  /** Tells all clients of a log that events of it were missed. */
  skipGap(log = this.#context.log): void {
    for (const client of [...this.#waiting, ...this]) if (client.source.log === log) client.skipGap()
  }

  /**
   * Ends every stream (`endStreams`). Resolves when all clients are gone and `onDisconnect` has finished, or has had its time.
   */
  async close(): Promise<void> {
    const since = performance.now()
    this.#housekeeping.stop()
    this.#context.isClosing = true
    const { overLimit } = this.#options
    const retry = (headers: IncomingHttpHeaders) =>
      takesRetry(headers, overLimit) ? this.retryWithJitter() : undefined
    await inSlices([...this.#waiting], (client) => {
      if (client.turnAway(retry)) this.#context.counters.rejected.closing++
    })
    await endStreams([...this], since, () => this.retryWithJitter())
    await this.#notices.settle()
    this.#context.reader.clear()
  }

  /**
   * Returns a random reconnection time of one to two times `retry`, ms, so that clients do not reconnect all at once.
   */
  retryWithJitter(): number {
    return Math.round((this.#options.retry ?? DEFAULT_RETRY) * (1 + Math.random()))
  }

  /** Returns the context of clients that read another log. They cannot be subscribed to anything else. */
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

  /**
   * Chooses the shard of a client. A small audience is kept in one shard, so that an event for it wakes only that one;
   * a large audience is spread.
   */
  #shardFor({ number, audience }: Client): Shard {
    const { shards } = this
    const home = shards[audience.number % shards.length]!
    const isFew = audience !== this.#context.audiences.everyone && home.countOf(audience) < TOGETHER
    return isFew ? home : shards[Math.floor(number / TOGETHER) % shards.length]!
  }

  #onOpen(client: Client): void {
    this.#waiting.delete(client)
    // Nobody knows its id before the response headers have been sent.
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

/**
 * A client in a line of the app's log. Not as `client`, since serializers are chosen by the name of the field, and an
 * app may have one for that.
 */
export function logFields({ id, ip }: Client): { sseClient: { id: string; ip: string | undefined } } {
  return { sseClient: { id, ip } }
}
