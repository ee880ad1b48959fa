import { randomBytes } from 'node:crypto'
import type { EventOptions, PublishOptions, SseStats, Transaction } from '../api/api.js'
import { Diagnostics } from '../api/diagnostics.js'
import { ClosedError, DuplicateIdError, type RejectReason } from '../api/errors.js'
import { guardedLogger, type Logger } from '../api/input/logger.js'
import type { ResolvedOptions } from '../api/options.js'
import type { BackplaneCommand, BackplaneEvent, BackplaneRun, PublishRequest } from '../backplane/backplane.js'
import { encodeOrder, type Order, readOrder } from '../backplane/command-format.js'
import { IdempotencyKeys } from '../backplane/idempotency.js'
import { Mirror } from '../backplane/mirror.js'
import { readRunMessage } from '../backplane/run-message.js'
import { readTransaction, transactionError } from '../backplane/transaction.js'
import { Audiences } from '../log/audience.js'
import { reservedIdError } from '../log/encode.js'
import { type EncodedEvent, EventEncoder } from '../log/event-encoder.js'
import { EventLog, type Position } from '../log/event-log.js'
import type { LogEntry } from '../log/log-entry.js'
import { LogReader } from '../log/log-reader.js'
import { comparePlaces } from '../log/place-name.js'
import { Clients } from './clients/clients.js'
import { Commands } from './clients/commands.js'
import { Counters } from './clients/counters.js'
import { FlushQueue } from './clients/flush-queue.js'
import { LongPolls } from './clients/long-polls.js'
import { Runner } from './runs/runner.js'

/** Ids remembered by idempotency keys. */
const MAX_PAST_IDS = 100_000

/** What a client hears: some topics and patterns, and what has no topic, where `everyone` says so. */
interface Subscriptions {
  readonly topics: Iterable<string>
  readonly everyone: boolean
}

/** Takes events in, has them appended to the log, and wakes those who hear them. */
export class Hub {
  readonly log: EventLog
  readonly reader: LogReader
  /** Who hears what. */
  readonly audiences = new Audiences()
  readonly clients: Clients
  /** What is done to clients that are picked. */
  readonly commands: Commands
  /** Work that goes on whether or not anybody listens. */
  readonly runner: Runner
  /** Requests that wait for an event. */
  readonly longPolls = new LongPolls()
  readonly #logger: Logger
  readonly diagnostics = new Diagnostics()
  readonly #flushes = new FlushQueue(this.diagnostics)
  readonly #encoder: EventEncoder
  readonly #counters = new Counters()
  readonly #answers = new IdempotencyKeys(MAX_PAST_IDS)
  readonly #shared: Mirror | undefined
  /** Whether the log has begun anew, and clients have yet to skip what it had: they are offered nothing meanwhile. */
  #isInGap = false
  #closing = false
  #ending = false
  #closed = false
  #saidClosed = false

  constructor(options: ResolvedOptions, appLogger: Logger) {
    const logger = guardedLogger(appLogger)
    this.#logger = logger
    const { history, queueDepth, backplane } = options
    // A slow client catches up from the log, whether or not others may replay so far.
    const bounds = { events: Math.max(history.events, queueDepth), bytes: history.bytes }
    this.log = new EventLog({
      ...bounds,
      // Eight base-36 digits: two lives of a log have the same name once in 10^12.
      epoch: (randomBytes(6).readUIntBE(0, 6) % 36 ** 8).toString(36).padStart(8, '0'),
      replay: history.events
    })
    this.reader = new LogReader(this.log, this.audiences.everyone)
    this.#encoder = new EventEncoder(options)
    const context = {
      log: this.log,
      reader: this.reader,
      audiences: this.audiences,
      counters: this.#counters,
      diagnostics: this.diagnostics,
      encoder: this.#encoder
    }
    this.clients = new Clients(options, context, this.#flushes, logger)
    this.commands = new Commands(this.clients, this.#encoder, options, (order) => this.#tellOthers(order))
    this.runner = new Runner(options.runs, {
      encoder: this.#encoder,
      logger,
      isShared: () => this.#shared?.isInUse === true,
      isConnected: () => this.#shared?.stats.connected === true,
      publish: async (event, run) => {
        await this.#shared!.publish([{ ...event, run }])
      },
      tell: (message) => this.#shared!.broadcast({ kind: 'run', body: JSON.stringify(message) }),
      skipGap: ({ log }) => this.clients.skipGap(log)
    })
    if (backplane === undefined) return
    const local = {
      answers: this.#answers,
      has: (id: string) => this.log.has(id),
      append: (event: BackplaneEvent, cursor: string, publisher: string) => {
        if (event.run === undefined) return this.#append(event, cursor).id
        return this.runner.receive(event, event.run, publisher)
      },
      hearRun: ({ body }: BackplaneRun, publisher: string, isHistory: boolean) =>
        this.runner.hear(readRunMessage(body)!, publisher, isHistory),
      order: (message: BackplaneCommand) => this.commands.execute(readOrder(message)!),
      isReserved: (id: string) => this.log.isReserved(id),
      compareWithHead: (cursor: string) => this.log.compareWithHead(cursor),
      onState: (isConnected: boolean, error?: Error) =>
        this.diagnostics.backplaneState(backplane.name, isConnected, error),
      addBarePlace: (place: string) => this.log.addBarePlace(place),
      rebase: (floor: string) => {
        // What was read until now is offered before it is forgotten.
        if (!this.#isInGap) this.#flushes.hurry(this.log.head)
        this.#isInGap = true
        this.log.rebase(floor, (a, b) => comparePlaces(a, b, backplane))
      },
      skipGap: () => {
        this.#isInGap = false
        this.clients.skipGap()
        this.longPolls.wakeAll()
      }
    }
    this.#shared = new Mirror(backplane, bounds, local, logger)
  }

  /** Whether nobody is let in any more, since the app closes. */
  get closing(): boolean {
    return this.#closing
  }

  /** Begins to look after clients, and joins the backplane. @throws BackplaneUnavailableError */
  async start(): Promise<void> {
    if (this.#closing) return
    this.clients.start()
    await this.#shared?.join()
  }

  /** As `Sse.broadcast`. */
  broadcast(data: unknown, options?: EventOptions): void {
    this.#broadcast(this.#encoder.encode(data, options))
  }

  /** As `Sse.broadcastMessage`. */
  broadcastText(text: string, options?: EventOptions): void {
    this.#broadcast(this.#encoder.encodeText(text, options))
  }

  /** As `Sse.publish`. */
  async publish(data: unknown, options?: PublishOptions): Promise<string> {
    const [transaction, labels] = readTransaction(options)
    const event = this.#encoder.encode(data, labels)
    if (transaction !== undefined) return this.#publishWithin(transaction, event)
    const [id] = await this.#publish([event])
    return id!
  }

  /**
   * Accepts all of these events, or none. Where the request has come before, it is answered as it was.
   *
   * @throws as `publish`, and IdempotencyKeyReusedError
   */
  async publishAll(
    events: readonly ({ data: unknown } & EventOptions)[],
    request?: Pick<PublishRequest, 'key' | 'digest'>
  ): Promise<string[]> {
    const requestOf = (index: number) => request && { ...request, index, count: events.length }
    const past = request && events.map((_event, index) => this.#answers.find(requestOf(index)!))
    if (past?.every((id) => id !== undefined)) return past as string[]
    const encoded = events.map(({ data, ...options }) => this.#encoder.encode(data, options))
    return this.#publish(encoded.map((event, index) => ({ ...event, request: requestOf(index) })))
  }

  /** Where a client stands in the log that shows an id, or none, and hears some topics. */
  positionOf(lastEventId: string | undefined, { topics, everyone }: Subscriptions): Position {
    if (lastEventId === undefined) return { seq: this.log.head }
    const audience = this.audiences.hold(topics, everyone)
    const position = this.reader.positionOf(lastEventId, audience)
    this.audiences.release(audience)
    return position
  }

  /** Where this process has not read as far as an id that another has given: resolves when it has, or time is up. */
  catchUp(lastEventId: string | undefined): Promise<void> | undefined {
    return lastEventId === undefined ? undefined : this.#shared?.catchUp(lastEventId)
  }

  /** Counts a request that did not become a client. */
  reject(reason: RejectReason): void {
    this.#counters.rejected[reason]++
  }

  /** As `Sse.ready`. */
  get ready(): boolean {
    return !this.#closing && (this.#shared?.stats.connected ?? true)
  }

  stats(): SseStats {
    const backplane = this.#shared?.stats ?? null
    const { size: events, bytes, oldestAge } = this.log
    return this.#counters.snapshot(this.clients.size, this.clients.slowestLag, { events, bytes, oldestAge }, backplane)
  }

  /** Lets nobody in any more. Who is here hears what the app says while it closes, until `close`. */
  beginClosing(): void {
    this.#closing = true
  }

  /** Ends every stream, and leaves the backplane. Resolves when all are gone, and `onDisconnect` is through. */
  async close(): Promise<void> {
    this.#closing = true
    this.#ending = true
    const stopped = this.runner.close()
    this.#flushes.stop()
    this.longPolls.wakeAll()
    await this.clients.close()
    await stopped
    this.#closed = true
    await this.#shared?.close()
    this.runner.clear()
  }

  /** Amid the closing, what `onDisconnect` broadcasts is for other processes. */
  get #takesEvents(): boolean {
    return !this.#closed && (!this.#ending || this.#shared !== undefined)
  }

  #broadcast(event: EncodedEvent): void {
    if (event.id !== undefined) this.#checkIds([event])
    if (!this.#takesEvents) this.#sayClosed()
    else if (this.#shared?.isInUse) this.#shared.broadcast(event)
    else this.#append(event)
  }

  async #publish(events: readonly (EncodedEvent & { request?: PublishRequest | undefined })[]): Promise<string[]> {
    this.#checkIds(events)
    if (!this.#takesEvents) throw new ClosedError()
    if (this.#shared?.isInUse) return this.#shared.publish(events)
    return events.map((event) => {
      const { id } = this.#append(event)
      if (event.request !== undefined) this.#answers.add(event.request, id)
      return id
    })
  }

  async #publishWithin(transaction: Transaction, event: EncodedEvent): Promise<string> {
    this.#checkIds([event])
    if (!this.#takesEvents) throw new ClosedError()
    if (this.#shared === undefined) throw transactionError('there is no backplane')
    return this.#shared.publishWithin(transaction, event)
  }

  /** Runs no code of the app, so that nothing comes between the place of an event and the event. */
  #append(event: BackplaneEvent, cursor?: string): LogEntry {
    const { body, id, topic, except } = event
    const bytes = Buffer.byteLength(body)
    // A burst larger than the log would evict events that have been offered to nobody: they are flushed first.
    if (!this.#isInGap && (!this.#flushes.isIdle || this.clients.isBusy)) {
      const leaving = this.log.oldestAfter(this.log.sizeOf(bytes, event, id ?? cursor)) - 1
      this.#flushes.hurry(leaving)
      this.clients.hurry(leaving)
    }
    const entry = this.log.append(body, event, cursor, bytes)
    this.#counters.events++
    this.diagnostics.publish(entry, body)
    if (except !== undefined) this.clients.spare(except, entry)
    if (topic === undefined) {
      for (const shard of this.clients.shards) shard.touchAll()
      this.longPolls.wakeCommon()
    } else {
      for (const audience of this.audiences.of(topic)) audience.hear(entry)
    }
    return entry
  }

  /** @throws DuplicateIdError, InvalidEventError where an own id could not be told from another's */
  #checkIds(events: readonly EncodedEvent[]): void {
    const ids = new Set<string>()
    for (const { id } of events) {
      if (id === undefined) continue
      if (this.log.has(id) || ids.has(id.trim())) throw new DuplicateIdError(id)
      if (this.log.isReserved(id)) {
        throw reservedIdError(id)
      }
      ids.add(id.trim())
    }
  }

  /** @returns whether it goes to all processes */
  #tellOthers(order: Order): boolean {
    if (this.#shared?.isInUse !== true) return false
    this.#shared.broadcast(encodeOrder(order))
    return true
  }

  #sayClosed(): void {
    // Amid the closing it is what `onDisconnect` broadcasts, and nobody's mistake.
    if (!this.#closed || this.#saidClosed) return
    this.#logger.warn({}, 'SSE: an event was broadcast after the app had closed; it goes nowhere')
    this.#saidClosed = true
  }
}
