// The hub behind `app.sse`: creates its parts, connects them to each other and to the backplane, starts and closes them.
// Events come in through broadcaster.ts; the clients are in clients/, the runs in runs/.

import { randomBytes } from 'node:crypto'
import type { SseStats } from '../api/api.js'
import { Diagnostics } from '../api/diagnostics.js'
import type { RejectReason } from '../api/errors.js'
import { GuardedLogger, type Logger } from '../api/input/logger.js'
import type { ResolvedOptions } from '../api/options.js'
import type { Backplane } from '../backplane/backplane.js'
import { encodeOrder, readOrder } from '../backplane/command-format.js'
import { IdempotencyKeys } from '../backplane/idempotency.js'
import { type LocalLog, Mirror } from '../backplane/mirror.js'
import { readRunMessage } from '../backplane/run-message.js'
import { Audiences } from '../log/audience.js'
import { compareEngineIds } from '../log/engine-id.js'
import { EventEncoder } from '../log/event-encoder.js'
import { EventLog, type Position } from '../log/event-log.js'
import { LogReader } from '../log/log-reader.js'
import { Broadcaster } from './broadcaster.js'
import { Clients } from './clients/clients.js'
import { Commands } from './clients/commands.js'
import { Counters } from './clients/counters.js'
import { FlushQueue } from './clients/flush-queue.js'
import { LongPolls } from './clients/long-polls.js'
import { LogWriter } from './log-writer.js'
import type { RunnerContext } from './runs/run-target.js'
import { Runner } from './runs/runner.js'

/** Number of event ids that are remembered by idempotency keys. */
const MAX_PAST_IDS = 100_000

/** What a client is subscribed to: topics and patterns, and with `everyone` also events without a topic. */
interface Subscriptions {
  readonly topics: Iterable<string>
  readonly everyone: boolean
}

/**
 * One hub: the parts that `app.sse` and the routes use, and their lifecycle. It has a field for each part, more than other
 * classes have.
 */
export class Hub {
  readonly log: EventLog
  readonly reader: LogReader
  readonly audiences = new Audiences()
  readonly clients: Clients
  readonly commands: Commands
  readonly runner: Runner
  readonly broadcaster: Broadcaster
  readonly longPolls = new LongPolls()
  readonly diagnostics = new Diagnostics()
  readonly #flushes = new FlushQueue(this.diagnostics)
  readonly #counters = new Counters()
  /** The log that is shared with other processes; undefined without a backplane. */
  readonly #mirror: Mirror | undefined
  #isClosing = false

  constructor(options: ResolvedOptions, appLogger: Logger) {
    const logger = new GuardedLogger(appLogger)
    const { history, queueDepth, backplane } = options
    // Slow clients catch up from the log, also past what may be replayed.
    const bounds = { events: Math.max(history.events, queueDepth), bytes: history.bytes }
    this.log = new EventLog({ ...bounds, epoch: randomEpoch(), replay: history.events })
    this.reader = new LogReader(this.log, this.audiences.everyone)
    const encoder = new EventEncoder(options)
    const { log, reader, audiences, longPolls, diagnostics } = this
    const [counters, flushes] = [this.#counters, this.#flushes]
    const clients = new Clients(options, { log, reader, audiences, counters, diagnostics, encoder }, flushes, logger)
    this.clients = clients
    this.commands = new Commands(clients, encoder, options, (order) => {
      if (this.#mirror?.isInUse !== true) return false
      this.#mirror.broadcast(encodeOrder(order))
      return true
    })
    this.runner = new Runner(options.runs, this.#runnerContext(encoder, logger))
    const writer = new LogWriter({ log, audiences, clients, flushes, longPolls, counters, diagnostics })
    const answers = new IdempotencyKeys(MAX_PAST_IDS)
    if (backplane !== undefined)
      this.#mirror = new Mirror(backplane, bounds, this.#localLog(backplane, writer, answers), logger)
    this.broadcaster = new Broadcaster({ encoder, log, writer, answers, mirror: this.#mirror, logger })
  }

  /** Whether the app is closing, so that no request is admitted any more. */
  get closing(): boolean {
    return this.#isClosing
  }

  /** Starts housekeeping, and joins the backplane. @throws BackplaneUnavailableError */
  async start(): Promise<void> {
    if (this.#isClosing) return
    this.clients.start()
    await this.#mirror?.join()
  }

  /** Returns where a client with these subscriptions resumes if it sends this last event id, or none. */
  positionOf(lastEventId: string | undefined, { topics, everyone }: Subscriptions): Position {
    if (lastEventId === undefined) return { seq: this.log.head }
    const audience = this.audiences.hold(topics, everyone)
    const position = this.reader.positionOf(lastEventId, audience)
    this.audiences.release(audience)
    return position
  }

  /**
   * Waits until this process has read as far as an id that another process has told a client. Resolves then, or when time
   * is up; undefined if there is nothing to wait for.
   */
  awaitRead(lastEventId: string | undefined): Promise<void> | undefined {
    return lastEventId === undefined ? undefined : this.#mirror?.awaitRead(lastEventId)
  }

  /** Counts a request that did not become a client. */
  reject(reason: RejectReason): void {
    this.#counters.rejected[reason]++
  }

  /** As `Sse.ready`. */
  get ready(): boolean {
    return !this.#isClosing && (this.#mirror?.stats.connected ?? true)
  }

  stats(): SseStats {
    const backplane = this.#mirror?.stats ?? null
    const { size: events, bytes, oldestAge } = this.log
    return this.#counters.snapshot(
      this.clients.size,
      this.clients.census.slowestLag,
      { events, bytes, oldestAge },
      backplane
    )
  }

  /** Admits no more requests. Connected clients still get what the app broadcasts while it closes, until `close`. */
  beginClosing(): void {
    this.#isClosing = true
  }

  /** Ends every stream, and leaves the backplane. Resolves when all clients are gone and `onDisconnect` has finished. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.broadcaster.state = 'ending'
    const stopped = this.runner.close()
    this.#flushes.stop()
    this.longPolls.wakeAll()
    await this.clients.close()
    await stopped
    this.broadcaster.state = 'closed'
    await this.#mirror?.close()
    this.runner.clear()
  }

  #runnerContext(encoder: EventEncoder, logger: Logger): RunnerContext {
    return {
      encoder,
      logger,
      isShared: () => this.#mirror?.isInUse === true,
      isConnected: () => this.#mirror?.stats.connected === true,
      publish: async (event, run) => {
        await this.#mirror!.publish([{ ...event, run }])
      },
      tell: (message) => this.#mirror!.broadcast({ kind: 'run', body: JSON.stringify(message) }),
      skipGap: ({ log }) => this.clients.skipGap(log)
    }
  }

  /** What the mirror does on this process with what it reads from the engine. */
  #localLog(backplane: Backplane, writer: LogWriter, answers: IdempotencyKeys): LocalLog {
    const { log, runner, commands, diagnostics } = this
    return {
      answers,
      has: (id) => log.has(id),
      append: (event, cursor, publisher) =>
        event.run === undefined ? writer.append(event, cursor).id : runner.receive(event, event.run, publisher),
      hearRun: ({ body }, publisher, isHistory) => runner.hear(readRunMessage(body)!, publisher, isHistory),
      order: (message) => commands.execute(readOrder(message)!),
      isReserved: (id) => log.isReserved(id),
      compareWithHead: (cursor) => log.compareWithHead(cursor),
      onState: (isConnected, error) => diagnostics.backplaneState(backplane.name, isConnected, error),
      addBareId: (id) => log.addBareId(id),
      rebase: (floor) => writer.rebase(floor, (a, b) => compareEngineIds(a, b, backplane)),
      skipGap: () => writer.skipGap()
    }
  }
}

/** Eight base-36 digits: two logs have the same epoch once in 10^12. */
function randomEpoch(): string {
  return (randomBytes(6).readUIntBE(0, 6) % 36 ** 8).toString(36).padStart(8, '0')
}
