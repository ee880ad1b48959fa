// What a process does when entries of the engine's log are missing: it starts its own log anew, and tells clients and the other
// processes.

import { randomUUID } from 'node:crypto'
import type { Logger } from '../api/input/logger.js'
import { engineId } from '../log/engine-id.js'
import type { Backplane, BackplaneEntry, BackplaneMessage, Joined, Parcel } from './backplane.js'
import { LogLosses } from './log-losses.js'
import type { SubscriberTarget } from './subscriber.js'
import { UnreadAcks } from './unread-acks.js'

/** The process's log, which can start anew. */
export interface RestartableLog extends Pick<SubscriberTarget, 'addBareId'> {
  /** Starts anew with an empty log after the place `floor`. */
  rebase(floor: string): void
  /** Sends every client a `resync`. The clients skip what was appended since `rebase`, and receive what follows. */
  skipGap(): void
}

/** Finds losses, hears of those that others have found, and tells clients of each of them once. */
export class LossRecovery {
  readonly #local: RestartableLog
  readonly #broadcast: (message: BackplaneMessage) => void
  readonly #logger: Logger
  readonly #losses = new LogLosses()
  readonly #acks: UnreadAcks
  /** The cursor up to which this process has read. */
  #place = ''

  /** @param broadcast publishes a message without waiting */
  constructor(
    backplane: Pick<Backplane, 'compare'>,
    local: RestartableLog,
    broadcast: (message: BackplaneMessage) => void,
    logger: Logger
  ) {
    this.#local = local
    this.#broadcast = broadcast
    this.#logger = logger
    this.#acks = new UnreadAcks((a, b) => backplane.compare(a, b))
  }

  /** Notes a message that the engine has acknowledged at a place, and that is yet to be read there. */
  noteAck(messageId: string, cursor: string): void {
    this.#acks.add(messageId, cursor)
  }

  /** Call it before entries are passed on. If they show that the engine has lost messages of this process, tells of it. */
  check(entries: readonly BackplaneEntry[]): void {
    const missingFor = this.#acks.read(entries)
    if (missingFor === undefined) return
    this.#logger.warn({}, 'SSE: the backplane has lost events of this process; clients are told to refetch')
    this.#beginAfter(this.#place)
    // Clients of other processes may have missed them as well.
    this.#broadcast(this.#losses.reportTold(missingFor))
  }

  /** Call it after entries have been passed on. @param cursor the place of the last one, if there was any */
  noteRead(cursor: string | undefined): void {
    this.#losses.noteRead()
    if (cursor !== undefined) this.#place = cursor
  }

  /** As `BackplaneListener.onLoss`. */
  report(): Parcel {
    return this.#losses.report()
  }

  /**
   * Call it when entries have left the engine: the oldest ones, or, after a loss, the newest ones.
   *
   * @param refill as `Subscriber.restart`
   */
  beginAnew(
    { floor, history }: Joined,
    refill: (history: readonly BackplaneEntry[], skipGap: () => void) => void
  ): void {
    const loss = this.#losses.begin(history)
    this.#acks.clear()
    const what =
      loss === 'none' ? 'events have left the backplane before they were read' : 'the backplane has lost events'
    this.#logger.warn({}, `SSE: ${what}; clients are told to refetch`)
    this.#local.rebase(engineId(floor))
    refill(history, () => {
      if (loss !== 'untold') this.#local.skipGap()
    })
    const end = history.at(-1)?.cursor ?? floor
    this.noteRead(end)
    // The engine has not stored the report of the loss, so only this process knows of it.
    if (loss === 'untold') this.#beginAfter(end)
  }

  /** Call it for the report of a loss that a process has found. A client with an older last event id may have missed events. */
  hear(entry: BackplaneEntry, isHistory: boolean): void {
    const id = engineId(entry.cursor, entry)
    // Each message acknowledged so far has been read, or belongs to the reported loss, or is still to come.
    this.#acks.clear()
    if (this.#losses.isKnown(entry)) {
      this.#local.addBareId(id)
      return
    }
    this.#local.rebase(id)
    if (isHistory) return
    this.#logger.warn(
      {},
      'SSE: the backplane has lost events, as another process has found; clients are told to refetch'
    )
    this.#local.skipGap()
  }

  /** Tells clients of a loss after a place. The place gets a new id: a client with the old one may have missed what is lost. */
  #beginAfter(cursor: string): void {
    this.#local.rebase(engineId(cursor, { messageId: randomUUID(), message: {} }))
    this.#local.skipGap()
  }
}
