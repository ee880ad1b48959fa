import type { BackplaneEntry, BackplaneEvent } from './backplane/backplane.js'
import { DuplicateIdError } from './errors.js'
import type { PastAnswers } from './past-answers.js'

/** Publishers remembered. Each life of a process is one. */
const MAX_PUBLISHERS = 10_000

/** Where the entries of an engine go. */
export interface InboxTarget {
  readonly answers: PastAnswers
  /** Whether the log holds an event with this id of its own. */
  has(id: string): boolean
  /** @returns the id of the event */
  append(event: BackplaneEvent, cursor: string): string
  disconnect(body: string): void
  /** What has become of a message of this process. */
  settle(messageId: string, outcome: string | Error): void
}

/**
 * Reads what the engine holds, and leaves out what is there twice: by a publisher that did not hear the answer, by a
 * request that was repeated, by two processes that chose the same id. Every process comes to the same result, since all
 * read the same order.
 */
export class Inbox {
  readonly #target: InboxTarget
  /** The number of the last message of each publisher, the one that was silent longest first. */
  readonly #lastNumbers = new Map<string, number>()

  constructor(target: InboxTarget) {
    this.#target = target
  }

  /** @param isHistory whether it is from before this process listened, when it had no clients */
  receive({ cursor, messageId, message }: BackplaneEntry, isHistory: boolean): void {
    if (this.#isKnown(messageId)) return
    if (message.kind === 'event') {
      this.#target.settle(messageId, this.#accept(message, cursor))
      return
    }
    if (!isHistory) this.#target.disconnect(message.body)
    this.#target.settle(messageId, cursor)
  }

  #accept(event: BackplaneEvent, cursor: string): string | Error {
    const { answers } = this.#target
    try {
      const past = event.request && answers.find(event.request)
      if (past !== undefined) return past
    } catch (error) {
      return error as Error
    }
    if (event.id !== undefined && this.#target.has(event.id)) return new DuplicateIdError(event.id)
    const id = this.#target.append(event, cursor)
    if (event.request !== undefined) answers.add(event.request, id)
    return id
  }

  /**
   * Begins anew after a gap, with an empty log: what the engine holds is entered once more, whether or not it was read
   * before. Whom it has disconnected meanwhile is disconnected.
   *
   * @param skipGap called before the first that was not read before
   */
  restart(history: readonly BackplaneEntry[], skipGap: () => void): void {
    const read = history.findLastIndex(({ messageId }) => this.#isRead(...split(messageId))) + 1
    this.#lastNumbers.clear()
    this.#target.answers.clear()
    for (const entry of history.slice(0, read)) this.receive(entry, true)
    skipGap()
    for (const entry of history.slice(read)) this.receive(entry, false)
  }

  /** A publisher numbers its messages, and publishes them in that order. */
  #isKnown(messageId: string): boolean {
    const [publisher, number] = split(messageId)
    if (this.#isRead(publisher, number)) return true
    this.#lastNumbers.delete(publisher)
    this.#lastNumbers.set(publisher, number)
    if (this.#lastNumbers.size > MAX_PUBLISHERS) this.#lastNumbers.delete(this.#lastNumbers.keys().next().value!)
    return false
  }

  #isRead(publisher: string, number: number): boolean {
    const last = this.#lastNumbers.get(publisher)
    return last !== undefined && number <= last
  }
}

function split(messageId: string): [publisher: string, number: number] {
  const colon = messageId.lastIndexOf(':')
  return [messageId.slice(0, colon), Number(messageId.slice(colon + 1))]
}
