import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BackplaneStats, Transaction } from '../api/api.js'
import { BackplaneUnavailableError } from '../api/errors.js'
import type { Logger } from '../api/input/logger.js'
import { placeName } from '../log/place-name.js'
import type { Backplane, BackplaneEntry, BackplaneEvent, BackplaneMessage, HistoryBounds, Joined } from './backplane.js'
import { faultOf } from './entry-format.js'
import { LogLosses } from './log-losses.js'
import { PublishQueue } from './publish-queue.js'
import { Subscriber, type SubscriberTarget } from './subscriber.js'
import { transactionError } from './transaction.js'
import { UnreadAcks } from './unread-acks.js'

/** Between two attempts to join, ms: the first, and the longest. */
const MIN_PAUSE = 500
const MAX_PAUSE = 10_000
/** How long a client that arrives from another process waits until this process has read as far, ms. */
const CATCH_UP = 2000
/** Time that pending messages have to be published when the app closes, ms. */
const GRACE = 1000

/** The process's log, as a mirror of the engine's. */
export interface LocalLog extends Omit<SubscriberTarget, 'settle' | 'lose'> {
  /** Starts anew with an empty log after the place `floor`. */
  rebase(floor: string): void
  /** Clients hear what follows, and nothing that was appended since `rebase`. They are told that they missed events. */
  skipGap(): void
  /** The engine has come within reach, or is out of it. */
  onState(isConnected: boolean, error?: Error): void
  /** Whether an event's own id is of the form of a cursor, so that clients which show it would be misplaced. */
  isReserved(id: string): boolean
  /** How a cursor compares with the newest of the log; nothing, where it is none of the engine's. */
  compareWithHead(cursor: string): number | undefined
}

/** What several processes have in common: what one of them publishes, all of them append, in one order. */
export class Mirror {
  readonly #backplane: Backplane
  readonly #bounds: HistoryBounds
  readonly #local: LocalLog
  readonly #logger: Logger
  readonly #subscriber: Subscriber
  readonly #queue: PublishQueue
  readonly #losses = new LogLosses()
  readonly #acks: UnreadAcks
  readonly #closing = new AbortController()
  /** Resolves when it has joined. */
  readonly #joined: Promise<void>
  #setJoined!: () => void
  #isJoined = false
  #isConnected = false
  #lost = 0
  #foreign = 0
  #lag: number | null = null
  /** The cursor up to which it has read. */
  #place = ''
  /** Waiting `catchUp` calls, checked whenever entries have been read. */
  readonly #catchingUp = new Set<() => void>()

  constructor(backplane: Backplane, bounds: HistoryBounds, local: LocalLog, logger: Logger) {
    this.#backplane = backplane
    this.#bounds = bounds
    this.#local = local
    this.#logger = logger
    this.#joined = new Promise((resolve) => {
      this.#setJoined = resolve
    })
    const publish = async (batch: Parameters<Backplane['publish']>[0]) => {
      await this.#joined
      const cursors = await backplane.publish(batch)
      const { messageId } = batch.at(-1)!
      // What is read is often there first. A batch is in the engine whole, so that its last message tells of all.
      if (!this.#subscriber.hasRead(messageId)) this.#acks.add(messageId, cursors.at(-1)!)
      return cursors.map((cursor, i) => placeName(cursor, batch[i]))
    }
    this.#acks = new UnreadAcks((a, b) => backplane.compare(a, b))
    this.#queue = new PublishQueue(randomUUID(), publish, backplane.limits)
    const settle = this.#queue.settle.bind(this.#queue)
    this.#subscriber = new Subscriber({
      answers: local.answers,
      has: (id) => local.has(id),
      append: (event, place, publisher) => local.append(event, place, publisher),
      addBarePlace: (place) => local.addBarePlace(place),
      order: (message) => local.order(message),
      hearRun: (message, publisher, isHistory) => local.hearRun(message, publisher, isHistory),
      lose: (entry, isHistory) => this.#lose(entry, isHistory),
      settle
    })
  }

  /** Whether what is published goes to the engine. Until then an optional one leaves the process to itself. */
  get isInUse(): boolean {
    return this.#isJoined || !this.#backplane.limits.optional
  }

  get stats(): BackplaneStats {
    const { name } = this.#backplane
    return {
      name,
      connected: this.#isConnected,
      pending: this.#queue.pending,
      lost: this.#lost,
      foreign: this.#foreign,
      lag: this.#lag
    }
  }

  /** @throws BackplaneUnavailableError where the engine cannot be used, unless it is optional */
  async join(): Promise<void> {
    try {
      await this.#tryToJoin()
    } catch (error) {
      if (!this.#backplane.limits.optional) throw error
      this.#logger.warn(
        { err: error },
        `SSE: the backplane ${this.#backplane.name} cannot be joined; until it can, clients get the events of this process alone`
      )
      void this.#keepTrying()
    }
  }

  /** Resolves with the ids of all of them. @throws BackplaneFullError */
  async publish(messages: readonly BackplaneMessage[]): Promise<string[]> {
    return Promise.all(this.#queue.send(messages))
  }

  /**
   * Publishes as a part of a transaction of the app's. Nothing waits here: what the engine says is the app's to deal with.
   *
   * @returns its own id, or '': its place is known when the transaction commits
   * @throws InvalidEventError where the engine has no transactions
   */
  async publishWithin(transaction: Transaction, event: BackplaneEvent): Promise<string> {
    const { name } = this.#backplane
    if (this.#backplane.publishWithin === undefined) throw transactionError(`${name} has no transactions`)
    await this.#backplane.publishWithin(transaction, event)
    return event.id ?? ''
  }

  /** Publishes without waiting. A message that is lost is counted and logged. */
  broadcast(message: BackplaneMessage): void {
    this.publish([message]).catch((err) => {
      if (this.#lost++ === 0 || this.#isConnected)
        this.#logger.error({ err }, 'SSE: an event is lost, since the backplane has not taken it')
    })
  }

  /** Waits until this process has read as far as a cursor that a client shows. Undefined if it has already. */
  catchUp(cursor: string): Promise<void> | undefined {
    const { signal } = this.#closing
    const isAhead = () => this.#isJoined && !signal.aborted && (this.#local.compareWithHead(cursor) ?? 0) > 0
    if (!isAhead()) return undefined
    return new Promise((resolve) => {
      const look = () => {
        if (isAhead()) return
        finish()
      }
      const finish = () => {
        clearTimeout(timer)
        this.#catchingUp.delete(look)
        resolve()
      }
      const timer = setTimeout(finish, CATCH_UP)
      timer.unref()
      this.#catchingUp.add(look)
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#tellCatchingUp()
    await this.#queue.close(this.#isConnected ? GRACE : 0)
    await this.#backplane.close()
    this.#setConnected(false)
  }

  async #tryToJoin(): Promise<void> {
    const joined = await this.#backplane.join(this.#bounds, {
      onEntries: (entries) => this.#read(entries),
      onGap: (gap) => this.#beginAnew({ ...gap, history: this.#known(gap.history) }),
      onLoss: () => this.#losses.report(),
      onForeign: (cursor, reason) => this.#passOver(cursor, reason),
      onState: (isConnected, error) => this.#onState(isConnected, error)
    })
    if (this.#closing.signal.aborted) {
      await this.#backplane.close()
      return
    }
    this.#isJoined = true
    this.#isConnected = true
    this.#local.rebase(placeName(joined.floor))
    this.#place = joined.history.at(-1)?.cursor ?? joined.floor
    for (const entry of this.#known(joined.history)) this.#subscriber.receive(entry, true)
    this.#losses.noteRead()
    // With an optional backplane, clients may have connected before this process joined.
    this.#local.skipGap()
    this.#tellCatchingUp()
    this.#setJoined()
    this.#local.onState(true)
  }

  async #keepTrying(): Promise<void> {
    const { signal } = this.#closing
    for (let pause = MIN_PAUSE; !signal.aborted && !this.#isJoined; pause = Math.min(pause * 2, MAX_PAUSE)) {
      await sleep(pause, undefined, { ref: false, signal }).catch(() => {})
      if (signal.aborted) return
      await this.#tryToJoin().catch(() => {})
      if (this.#isJoined)
        this.#logger.warn(
          {},
          `SSE: the backplane ${this.#backplane.name} has been joined; clients get the events of all processes`
        )
    }
  }

  /** Entries have left the engine, as its oldest or its newest. */
  #beginAnew({ floor, history }: Joined): void {
    const loss = this.#losses.begin(history)
    this.#acks.clear()
    const what =
      loss === 'none' ? 'events have left the backplane before they were read' : 'the backplane has lost events'
    this.#logger.warn({}, `SSE: ${what}; clients are told to refetch`)
    this.#local.rebase(placeName(floor))
    this.#subscriber.restart(history, () => {
      if (loss !== 'untold') this.#local.skipGap()
    })
    this.#losses.noteRead()
    if (loss === 'untold') {
      // The engine has not taken the report: what it says holds for this process alone.
      this.#beginAfter(history.at(-1)?.cursor ?? floor)
    }
    this.#place = history.at(-1)?.cursor ?? floor
    this.#tellCatchingUp()
  }

  /** Messages of this process are not where the engine had said. Their clients may be on other processes, too. */
  #loseOwn(missingFor: number): void {
    this.#logger.warn({}, 'SSE: the backplane has lost events of this process; clients are told to refetch')
    this.#beginAfter(this.#place)
    this.broadcast(this.#losses.reportTold(missingFor))
  }

  /** Tells clients of a loss after a place. Whoever shows the id that the place had before may have missed what is lost. */
  #beginAfter(cursor: string): void {
    this.#local.rebase(placeName(cursor, { messageId: randomUUID(), message: {} }))
    this.#local.skipGap()
  }

  /** Entries that some process has read are lost. Whoever was told of a place before this one may have missed them. */
  #lose(entry: BackplaneEntry, isHistory: boolean): void {
    const place = placeName(entry.cursor, entry)
    // What was acknowledged until now has come, or is told of by this, or will come.
    this.#acks.clear()
    if (this.#losses.isKnown(entry)) {
      this.#local.addBarePlace(place)
      return
    }
    this.#local.rebase(place)
    if (isHistory) return
    this.#logger.warn(
      {},
      'SSE: the backplane has lost events, as another process has found; clients are told to refetch'
    )
    this.#local.skipGap()
  }

  #read(entries: readonly BackplaneEntry[]): void {
    const missingFor = this.#acks.read(entries)
    if (missingFor !== undefined) this.#loseOwn(missingFor)
    for (const entry of this.#known(entries)) this.#subscriber.receive(entry, false)
    this.#losses.noteRead()
    const newest = entries.at(-1)
    if (newest !== undefined) {
      this.#place = newest.cursor
      this.#lag = Math.max(0, Date.now() - newest.at)
    }
    this.#tellCatchingUp()
  }

  /** Filters out entries that are not of the known format, which must not stop the others. */
  #known(entries: readonly BackplaneEntry[]): readonly BackplaneEntry[] {
    return entries.filter((entry) => {
      const fault = faultOf(entry) ?? this.#faultOfId(entry)
      if (fault !== undefined) this.#passOver(entry.cursor, fault)
      return fault === undefined
    })
  }

  #faultOfId({ message }: BackplaneEntry): string | undefined {
    if (message.kind !== 'event' || message.id === undefined) return undefined
    return this.#local.isReserved(message.id) ? 'its id has the form of those that the engine gives' : undefined
  }

  #passOver(cursor: string, reason: string): void {
    if (this.#foreign++ > 0) return
    const { name } = this.#backplane
    const message = `SSE: the backplane ${name} holds an entry that this version does not know; such are counted and passed over`
    this.#logger.warn({ cursor, reason }, message)
  }

  #tellCatchingUp(): void {
    for (const look of this.#catchingUp) look()
  }

  #setConnected(isConnected: boolean, error?: Error): void {
    if (isConnected === this.#isConnected) return
    this.#isConnected = isConnected
    this.#local.onState(isConnected, error)
  }

  #onState(isConnected: boolean, err?: Error): void {
    if (isConnected === this.#isConnected) return
    this.#setConnected(isConnected, err)
    const { name } = this.#backplane
    if (isConnected) this.#logger.warn({}, `SSE: the backplane ${name} is reached again`)
    else
      this.#logger.error(
        { err: err ?? new BackplaneUnavailableError(name, 'the connection is lost') },
        `SSE: the backplane ${name} is out of reach; events wait for it`
      )
  }
}
