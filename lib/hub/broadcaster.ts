// Takes in the events of the app: encodes them, checks their ids, and passes them to the backplane or to the log. How they
// reach clients is in log-writer.ts and clients/.

import type { EventOptions, PublishOptions, Transaction } from '../api/api.js'
import { ClosedError, DuplicateIdError } from '../api/errors.js'
import type { Logger } from '../api/input/logger.js'
import type { PublishRequest } from '../backplane/backplane.js'
import type { IdempotencyKeys } from '../backplane/idempotency.js'
import type { Mirror } from '../backplane/mirror.js'
import { readTransaction, transactionError } from '../backplane/transaction.js'
import { reservedIdError } from '../log/encode.js'
import type { EncodedEvent, EventEncoder } from '../log/event-encoder.js'
import type { EventLog } from '../log/event-log.js'
import type { LogWriter } from './log-writer.js'

/** What a broadcaster needs of the hub. */
export interface BroadcasterContext {
  readonly encoder: EventEncoder
  readonly log: EventLog
  readonly writer: LogWriter
  /** Ids of events by the idempotency keys of the requests that published them. */
  readonly answers: IdempotencyKeys
  /** The log that is shared with other processes; undefined without a backplane. */
  readonly mirror: Mirror | undefined
  readonly logger: Logger
}

/** How far the hub has closed: streams are being ended (`ending`), or all are gone (`closed`). */
export type BroadcasterState = 'open' | 'ending' | 'closed'

/** Broadcasts and publishes the events of the app. */
export class Broadcaster {
  state: BroadcasterState = 'open'
  readonly #context: BroadcasterContext
  #hasWarned = false

  constructor(context: BroadcasterContext) {
    this.#context = context
  }

  /** As `Sse.broadcast`. */
  broadcast(data: unknown, options?: EventOptions): void {
    this.#broadcast(this.#context.encoder.encode(data, options))
  }

  /** As `Sse.broadcastMessage`. */
  broadcastText(text: string, options?: EventOptions): void {
    this.#broadcast(this.#context.encoder.encodeText(text, options))
  }

  /** As `Sse.publish`. */
  async publish(data: unknown, options?: PublishOptions): Promise<string> {
    const [transaction, labels] = readTransaction(options)
    const event = this.#context.encoder.encode(data, labels)
    if (transaction !== undefined) return this.#publishWithin(transaction, event)
    const [id] = await this.#publish([event])
    return id!
  }

  /**
   * Publishes all of these events, or none. A request that came before is answered as it was then, and publishes nothing.
   *
   * @returns the ids of the events
   * @throws as `publish`, and IdempotencyKeyReusedError
   */
  async publishAll(
    events: readonly ({ data: unknown } & EventOptions)[],
    request?: Pick<PublishRequest, 'key' | 'digest'>
  ): Promise<string[]> {
    const { answers, encoder } = this.#context
    const requestOf = (index: number) => request && { ...request, index, count: events.length }
    const past = request && events.map((_event, index) => answers.find(requestOf(index)!))
    if (past?.every((id) => id !== undefined)) return past as string[]
    const encoded = events.map(({ data, ...options }) => encoder.encode(data, options))
    return this.#publish(encoded.map((event, index) => ({ ...event, request: requestOf(index) })))
  }

  /** Whether events are accepted. While the app closes they are only with a backplane, since other processes have clients. */
  get #takesEvents(): boolean {
    return this.state === 'open' || (this.state === 'ending' && this.#context.mirror !== undefined)
  }

  #broadcast(event: EncodedEvent): void {
    const { mirror, writer } = this.#context
    if (event.id !== undefined) this.#checkIds([event])
    if (!this.#takesEvents) this.#warnOnce()
    else if (mirror?.isInUse) mirror.broadcast(event)
    else writer.append(event)
  }

  async #publish(events: readonly (EncodedEvent & { request?: PublishRequest | undefined })[]): Promise<string[]> {
    const { mirror, writer, answers } = this.#context
    this.#checkIds(events)
    if (!this.#takesEvents) throw new ClosedError()
    if (mirror?.isInUse) return mirror.publish(events)
    return events.map((event) => {
      const { id } = writer.append(event)
      if (event.request !== undefined) answers.add(event.request, id)
      return id
    })
  }

  async #publishWithin(transaction: Transaction, event: EncodedEvent): Promise<string> {
    const { mirror } = this.#context
    this.#checkIds([event])
    if (!this.#takesEvents) throw new ClosedError()
    if (mirror === undefined) throw transactionError('there is no backplane')
    return mirror.publishWithin(transaction, event)
  }

  /** @throws DuplicateIdError, or InvalidEventError for an id that the log could assign to another event */
  #checkIds(events: readonly EncodedEvent[]): void {
    const { log } = this.#context
    const ids = new Set<string>()
    for (const { id } of events) {
      if (id === undefined) continue
      if (log.has(id) || ids.has(id.trim())) throw new DuplicateIdError(id)
      if (log.isReserved(id)) throw reservedIdError(id)
      ids.add(id.trim())
    }
  }

  #warnOnce(): void {
    // While streams are being ended it is what `onDisconnect` broadcasts, and no mistake.
    if (this.state !== 'closed' || this.#hasWarned) return
    this.#context.logger.warn({}, 'SSE: an event was broadcast after the app had closed; it goes nowhere')
    this.#hasWarned = true
  }
}
