// The process's log as a mirror of the engine's: publishes to the engine, and appends what is read from it. What the engine is, and
// how it is reached, is in `redis/`, `nats/` and `postgres/`.

import { randomUUID } from 'node:crypto'
import type { BackplaneStats, Transaction } from '../api/api.js'
import type { Logger } from '../api/input/logger.js'
import { engineId } from '../log/engine-id.js'
import type {
  Backplane,
  BackplaneEntry,
  BackplaneEvent,
  BackplaneListener,
  BackplaneMessage,
  HistoryBounds,
  Joined
} from './backplane.js'
import { ConnectionState } from './connection-state.js'
import { ForeignEntries } from './foreign-entries.js'
import { JoinAttempts } from './join-attempts.js'
import { LossRecovery, type RestartableLog } from './loss-recovery.js'
import { PublishQueue } from './publish-queue.js'
import { ReadWaits } from './read-waits.js'
import { Subscriber, type SubscriberTarget } from './subscriber.js'
import { transactionError } from './transaction.js'

/** Time that pending messages have to be published when the app closes, ms. */
const GRACE = 1000

/** The process's log, as a mirror of the engine's. */
export interface LocalLog extends Omit<SubscriberTarget, 'settle' | 'lose'>, RestartableLog {
  /** Called when the connection to the engine is there or is lost. */
  onState(isConnected: boolean, error?: Error): void
  /** Whether an event's own id has the form of a cursor: a client that resumes with it would start at the wrong place. */
  isReserved(id: string): boolean
  /** Compares a cursor with the newest one of the log; undefined if it is not a cursor of the engine. */
  compareWithHead(cursor: string): number | undefined
}

/** Mirrors the engine's log: what one process publishes, all processes append to their logs, in the same order. */
export class Mirror {
  readonly #backplane: Backplane
  readonly #local: LocalLog
  readonly #closing = new AbortController()
  readonly #attempts: JoinAttempts
  readonly #connection: ConnectionState
  readonly #queue: PublishQueue
  readonly #foreign: ForeignEntries
  readonly #subscriber: Subscriber
  readonly #recovery: LossRecovery
  readonly #readWaits = new ReadWaits((cursor) => this.#isBehind(cursor))

  constructor(backplane: Backplane, bounds: HistoryBounds, local: LocalLog, logger: Logger) {
    this.#backplane = backplane
    this.#local = local
    const steps = {
      join: () => backplane.join(bounds, this.#listener()),
      begin: (joined: Joined) => this.#begin(joined)
    }
    this.#attempts = new JoinAttempts(backplane, steps, this.#closing.signal, logger)
    const onState = (isConnected: boolean, error?: Error) => local.onState(isConnected, error)
    this.#connection = new ConnectionState(backplane.name, onState, logger)
    this.#foreign = new ForeignEntries(backplane.name, (id) => local.isReserved(id), logger)
    this.#recovery = new LossRecovery(backplane, local, (message) => this.broadcast(message), logger)
    const publish = async (batch: Parameters<Backplane['publish']>[0]) => {
      await this.#attempts.joined
      const cursors = await backplane.publish(batch)
      const { messageId } = batch.at(-1)!
      // The batch has often been read before it is acknowledged. It is in the engine whole, so its last message stands for all.
      if (!this.#subscriber.hasRead(messageId)) this.#recovery.noteAck(messageId, cursors.at(-1)!)
      return cursors.map((cursor, i) => engineId(cursor, batch[i]))
    }
    this.#queue = new PublishQueue(randomUUID(), publish, backplane.limits)
    const settle = this.#queue.settle.bind(this.#queue)
    this.#subscriber = new Subscriber({
      answers: local.answers,
      has: (id) => local.has(id),
      append: (event, id, publisher) => local.append(event, id, publisher),
      addBareId: (id) => local.addBareId(id),
      order: (message) => local.order(message),
      hearRun: (message, publisher, isHistory) => local.hearRun(message, publisher, isHistory),
      lose: (entry, isHistory) => this.#recovery.hear(entry, isHistory),
      settle
    })
  }

  /** Whether events are published to the engine. Until an optional one is joined, the process works without it. */
  get isInUse(): boolean {
    return this.#attempts.isJoined || !this.#backplane.limits.optional
  }

  get stats(): BackplaneStats {
    const { connected, lost, lag } = this.#connection.figures
    const { pending } = this.#queue
    return { name: this.#backplane.name, connected, pending, lost, foreign: this.#foreign.count, lag }
  }

  /** Joins the engine. @throws BackplaneUnavailableError if that fails, unless the backplane is optional */
  join(): Promise<void> {
    return this.#attempts.join()
  }

  /** Publishes messages, and resolves with their ids. @throws BackplaneFullError if too many wait already */
  async publish(messages: readonly BackplaneMessage[]): Promise<string[]> {
    return Promise.all(this.#queue.send(messages))
  }

  /**
   * Publishes an event within a transaction of the app. It is neither queued nor retried: the app handles errors of the engine.
   *
   * @returns the event's own id, or '': its place is known only once the transaction commits
   * @throws InvalidEventError if the engine has no transactions
   */
  async publishWithin(transaction: Transaction, event: BackplaneEvent): Promise<string> {
    const { name } = this.#backplane
    if (this.#backplane.publishWithin === undefined) throw transactionError(`${name} has no transactions`)
    await this.#backplane.publishWithin(transaction, event)
    return event.id ?? ''
  }

  /** Publishes a message without waiting. If that fails, the message is counted as lost, and logged. */
  broadcast(message: BackplaneMessage): void {
    this.publish([message]).catch((error) => this.#connection.countLost(error))
  }

  /** Waits until this process has read as far as a client's cursor, 2000 ms at most. Undefined if it has already. */
  awaitRead(cursor: string): Promise<void> | undefined {
    return this.#readWaits.await(cursor)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#readWaits.check()
    await this.#queue.close(this.#connection.isConnected ? GRACE : 0)
    await this.#backplane.close()
    this.#connection.close()
  }

  #listener(): BackplaneListener {
    return {
      onEntries: (entries) => this.#read(entries),
      onGap: (gap) => this.#beginAnew({ ...gap, history: this.#foreign.skipIn(gap.history) }),
      onLoss: () => this.#recovery.report(),
      onForeign: (cursor, reason) => this.#foreign.skip(cursor, reason),
      onState: (isConnected, error) => this.#connection.change(isConnected, error)
    }
  }

  #begin({ floor, history }: Joined): void {
    this.#connection.noteJoined()
    this.#local.rebase(engineId(floor))
    for (const entry of this.#foreign.skipIn(history)) this.#subscriber.receive(entry, true)
    this.#recovery.noteRead(history.at(-1)?.cursor ?? floor)
    // With an optional backplane, clients may have connected before this process joined.
    this.#local.skipGap()
    this.#readWaits.check()
    this.#local.onState(true)
  }

  #beginAnew(joined: Joined): void {
    this.#recovery.beginAnew(joined, (history, skipGap) => this.#subscriber.restart(history, skipGap))
    this.#readWaits.check()
  }

  #read(entries: readonly BackplaneEntry[]): void {
    this.#recovery.check(entries)
    for (const entry of this.#foreign.skipIn(entries)) this.#subscriber.receive(entry, false)
    const newest = entries.at(-1)
    this.#recovery.noteRead(newest?.cursor)
    if (newest !== undefined) this.#connection.noteRead(newest.at)
    this.#readWaits.check()
  }

  /** Whether this process has yet to read as far as a cursor, and goes on reading. */
  #isBehind(cursor: string): boolean {
    const isReading = this.#attempts.isJoined && !this.#closing.signal.aborted
    return isReading && (this.#local.compareWithHead(cursor) ?? 0) > 0
  }
}
