import { DuplicateIdError } from '../api/errors.js'
import { placeName } from '../log/place-name.js'
import type { BackplaneCommand, BackplaneEntry, BackplaneEvent, BackplaneRun } from './backplane.js'
import type { IdempotencyKeys } from './idempotency.js'

/** Publishers remembered. Each life of a process is one. */
const MAX_PUBLISHERS = 10_000

/** Where the entries of an engine go. */
export interface SubscriberTarget {
  readonly answers: IdempotencyKeys
  /** Whether the log holds an event with this id of its own. */
  has(id: string): boolean
  /**
   * @param place the name of its place
   * @param publisher whose message it is
   * @returns the id of the event
   */
  append(event: BackplaneEvent, place: string, publisher: string): string
  /** A place whose event has been appended before, under another name. */
  addBarePlace(place: string): void
  /** Something is to be done to clients. */
  order(message: BackplaneCommand): void
  /** Something is said of runs. @param isHistory as for `receive` */
  hearRun(message: BackplaneRun, publisher: string, isHistory: boolean): void
  /** The log has lost entries. @param isHistory as for `receive` */
  lose(entry: BackplaneEntry, isHistory: boolean): void
  /** What has become of a message of this process. */
  settle(messageId: string, outcome: string | Error): void
}

/**
 * Reads what the engine holds, and leaves out what is there twice: by a publisher that did not hear the answer, by a
 * request that was repeated, by two processes that chose the same id. Every process comes to the same result, since all
 * read the same order.
 */
export class Subscriber {
  readonly #target: SubscriberTarget
  /** The number of the last message of each publisher, the one that was silent longest first. */
  readonly #lastNumbers = new Map<string, number>()

  constructor(target: SubscriberTarget) {
    this.#target = target
  }

  /** @param isHistory whether it is from before this process listened, when it had no clients */
  receive(entry: BackplaneEntry, isHistory: boolean): void {
    this.#receive(entry, isHistory, this.#lastNumbers)
  }

  /** Whether a message was read, or a later one of its publisher. */
  hasRead(messageId: string): boolean {
    return isRead(messageId, this.#lastNumbers)
  }

  #receive(entry: BackplaneEntry, isHistory: boolean, lastNumbers: Map<string, number>): void {
    const { messageId, message } = entry
    if (isKnown(messageId, lastNumbers)) {
      this.#target.addBarePlace(placeName(entry.cursor, entry))
      return
    }
    if (message.kind === 'event') {
      this.#target.settle(messageId, this.#accept(message, placeName(entry.cursor, entry), split(messageId)[0]))
      return
    }
    if (message.kind === 'loss') this.#target.lose(entry, isHistory)
    else if (message.kind === 'run') this.#target.hearRun(message, split(messageId)[0], isHistory)
    else if (!isHistory) this.#target.order(message)
    this.#target.settle(messageId, entry.cursor)
  }

  #accept(event: BackplaneEvent, place: string, publisher: string): string | Error {
    const { answers } = this.#target
    try {
      const past = event.request && answers.find(event.request)
      if (past !== undefined) return past
    } catch (error) {
      return error as Error
    }
    if (event.id !== undefined && this.#target.has(event.id)) return new DuplicateIdError(event.id)
    const id = this.#target.append(event, place, publisher)
    if (event.request !== undefined) answers.add(event.request, id)
    return id
  }

  /**
   * Begins anew after a gap, with an empty log: what the engine holds is entered once more, so that it can be resumed
   * from. Clients hear nothing of it that was read before, however long ago. Whom it has disconnected meanwhile is
   * disconnected.
   *
   * @param skipGap called before the first that clients hear
   */
  restart(history: readonly BackplaneEntry[], skipGap: () => void): void {
    const read = history.findLastIndex(({ messageId }) => isRead(messageId, this.#lastNumbers)) + 1
    const first = Math.max(read, history.findLastIndex(({ message }) => message.kind === 'loss') + 1)
    const entered = new Map<string, number>()
    this.#target.answers.clear()
    for (const entry of history.slice(0, read)) this.#receive(entry, true, entered)
    // Where the log has lost entries, clients are told once.
    for (const entry of history.slice(read, first)) this.receive(entry, entry.message.kind === 'loss')
    skipGap()
    for (const entry of history.slice(first)) this.receive(entry, false)
    for (const messageId of entered.keys()) isKnown(`${messageId}:${entered.get(messageId)}`, this.#lastNumbers)
  }
}

/** A publisher numbers its messages, and publishes them in that order. */
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
