// Passes what is read from the engine on to the process's log, once and in order. How it is read is up to the engine.

import { DuplicateIdError } from '../api/errors.js'
import { engineId } from '../log/engine-id.js'
import type { BackplaneCommand, BackplaneEntry, BackplaneEvent, BackplaneRun } from './backplane.js'
import type { IdempotencyKeys } from './idempotency.js'

/** Number of publishers that are remembered. A process is a new one after each start. */
const MAX_PUBLISHERS = 10_000

/** Receives the entries of an engine. */
export interface SubscriberTarget {
  readonly answers: IdempotencyKeys
  /** Whether the log holds an event whose own id this is. */
  has(id: string): boolean
  /**
   * Appends an event.
   *
   * @param logId its id in the engine's log
   * @param publisher the process that published it
   * @returns the id of the event
   */
  append(event: BackplaneEvent, logId: string, publisher: string): string
  /** Adds an id without an event: its event has been appended before, with another id. */
  addBareId(id: string): void
  /** Carries out a command for clients. */
  order(message: BackplaneCommand): void
  /** Receives a message about runs. @param isHistory as for `receive` */
  hearRun(message: BackplaneRun, publisher: string, isHistory: boolean): void
  /** Receives the report of a loss. @param isHistory as for `receive` */
  lose(entry: BackplaneEntry, isHistory: boolean): void
  /** Called with the outcome of a message of this process. */
  settle(messageId: string, outcome: string | Error): void
}

/**
 * Passes entries on, and leaves out duplicates: of a publisher that got no answer, of a request that was repeated, of two
 * events with the same id. Every process comes to the same result, since all of them read the same order.
 */
export class Subscriber {
  readonly #target: SubscriberTarget
  /** The number of the last message of each publisher. The publisher that has been silent for the longest time comes first. */
  readonly #lastNumbers = new Map<string, number>()

  constructor(target: SubscriberTarget) {
    this.#target = target
  }

  /** @param isHistory whether the entry is from before this process had joined, when it had no clients */
  receive(entry: BackplaneEntry, isHistory: boolean): void {
    this.#receive(entry, isHistory, this.#lastNumbers)
  }

  /** Whether a message has been read, or a later one of its publisher. */
  hasRead(messageId: string): boolean {
    return isRead(messageId, this.#lastNumbers)
  }

  #receive(entry: BackplaneEntry, isHistory: boolean, lastNumbers: Map<string, number>): void {
    const { messageId, message } = entry
    if (isKnown(messageId, lastNumbers)) {
      this.#target.addBareId(engineId(entry.cursor, entry))
      return
    }
    if (message.kind === 'event') {
      this.#target.settle(messageId, this.#accept(message, engineId(entry.cursor, entry), split(messageId)[0]))
      return
    }
    if (message.kind === 'loss') this.#target.lose(entry, isHistory)
    else if (message.kind === 'run') this.#target.hearRun(message, split(messageId)[0], isHistory)
    else if (!isHistory) this.#target.order(message)
    this.#target.settle(messageId, entry.cursor)
  }

  #accept(event: BackplaneEvent, logId: string, publisher: string): string | Error {
    const { answers } = this.#target
    try {
      const past = event.request && answers.find(event.request)
      if (past !== undefined) return past
    } catch (error) {
      return error as Error
    }
    if (event.id !== undefined && this.#target.has(event.id)) return new DuplicateIdError(event.id)
    const id = this.#target.append(event, logId, publisher)
    if (event.request !== undefined) answers.add(event.request, id)
    return id
  }

  /**
   * Fills the empty log anew after a gap, so that clients can resume from what the engine holds. Clients receive no entry
   * that was read before. Commands that were not read before are carried out.
   *
   * @param skipGap called before the first entry that clients receive
   */
  restart(history: readonly BackplaneEntry[], skipGap: () => void): void {
    const read = history.findLastIndex(({ messageId }) => isRead(messageId, this.#lastNumbers)) + 1
    const first = Math.max(read, history.findLastIndex(({ message }) => message.kind === 'loss') + 1)
    const entered = new Map<string, number>()
    this.#target.answers.clear()
    for (const entry of history.slice(0, read)) this.#receive(entry, true, entered)
    // If the log has lost entries, clients are told once.
    for (const entry of history.slice(read, first)) this.receive(entry, entry.message.kind === 'loss')
    skipGap()
    for (const entry of history.slice(first)) this.receive(entry, false)
    for (const messageId of entered.keys()) isKnown(`${messageId}:${entered.get(messageId)}`, this.#lastNumbers)
  }
}

/** Splits a message id: a publisher numbers its messages, and publishes them in that order. */
function isKnown(messageId: string, lastNumbers: Map<string, number>): boolean {
  if (isRead(messageId, lastNumbers)) return true
  const [publisher, number] = split(messageId)
  lastNumbers.delete(publisher)
  lastNumbers.set(publisher, number)
  if (lastNumbers.size > MAX_PUBLISHERS) lastNumbers.delete(lastNumbers.keys().next().value!)
  return false
}

function isRead(messageId: string, lastNumbers: Map<string, number>): boolean {
  const [publisher, number] = split(messageId)
  const last = lastNumbers.get(publisher)
  return last !== undefined && number <= last
}

function split(messageId: string): [publisher: string, number: number] {
  const colon = messageId.lastIndexOf(':')
  return [messageId.slice(0, colon), Number(messageId.slice(colon + 1))]
}
