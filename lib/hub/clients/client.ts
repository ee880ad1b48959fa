// A client as the app sees it: its identity, its state, its subscriptions and the methods of `SseClient`.

import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { CloseOptions, SseClient } from '../../api/api.js'
import type { DisconnectReason, ResyncReason } from '../../api/errors.js'
import { checkCloseOptions } from '../../api/input/option-checks.js'
import { OwnChunk } from '../../log/chunk.js'
import { encodeRetry, encodeSubscription } from '../../log/encode.js'
import { checkSubscriptions } from '../../log/topic.js'
import type { Arrival, ClientContext, Scope } from './client-context.js'
import { endSignalOf } from './end-signal.js'
import { Expiry } from './expiry.js'
import { Follower } from './follower.js'

export class Client extends Follower implements SseClient {
  /** Number in the order of arrival, from 0. */
  readonly number: number
  readonly id: string
  readonly ip: string | undefined
  /** Whether its stream is compressed by gzip. */
  readonly compressed: boolean
  /** The context in which the app's callbacks run. */
  readonly scope: Scope
  #topics: ReadonlySet<string>
  /** Topics that the app has added. Only for a client that asks to be told of them. */
  readonly #given: Set<string> | undefined
  readonly #arrivedAt = Date.now()
  #state: SseClient['state'] | undefined
  #expiry: Expiry | undefined

  constructor(context: ClientContext, number: number, arrival: Arrival) {
    // A flat copy: the string of `randomUUID` is a tree of parts, which takes ten times the memory.
    const id = Buffer.from(randomUUID(), 'latin1').toString('latin1')
    super(context, id, arrival)
    const { ip, topics, tellsSubscriptions, state, compressed, scope } = arrival
    this.id = id
    this.number = number
    this.ip = ip
    this.compressed = compressed
    this.scope = scope
    this.#topics = topics
    if (tellsSubscriptions) this.#given = new Set()
    if (state !== undefined) this.#state = state as SseClient['state']
  }

  get signal(): AbortSignal {
    return endSignalOf(this, this.endReason)
  }

  get connectedAt(): Date {
    return new Date(this.#arrivedAt)
  }

  get state(): SseClient['state'] {
    this.#state ??= {} as SseClient['state']
    return this.#state
  }

  set state(state: SseClient['state']) {
    this.#state = state
  }

  get topics(): readonly string[] {
    return [...this.#topics]
  }

  get expiresAt(): Date | undefined {
    return this.#expiry?.date
  }

  set expiresAt(date: Date | undefined) {
    this.#expiry ??= new Expiry(() => this.end('expired'))
    this.#expiry.date = date
    if (this.closed) this.#expiry.stop()
  }

  send(data: unknown, options?: { event?: string | undefined }): boolean {
    return this.deliver(new OwnChunk(this.context.encoder.encodeDirect(data, options)))
  }

  subscribe(topic: string): void {
    if (this.closed) return
    if (!this.#topics.has(topic)) {
      const topics = new Set(this.#topics).add(topic)
      checkSubscriptions(topics, this.context.subscriptionLimits)
      this.#topics = topics
      this.hear(topics, 'subscribe')
    }
    // Also for a topic that it has requested: one connection may serve several tabs, of which others have not.
    if (this.#given !== undefined && !this.#given.has(topic)) {
      this.#given.add(topic)
      this.deliver(new OwnChunk(encodeSubscription(topic, true)))
    }
    this.flush()
  }

  unsubscribe(topic: string): void {
    if (this.closed || !this.#topics.has(topic)) return
    const topics = new Set(this.#topics)
    topics.delete(topic)
    this.#topics = topics
    this.hear(topics, { unsubscribe: topic })
    if (this.#given?.delete(topic)) this.deliver(new OwnChunk(encodeSubscription(topic, false)))
    this.flush()
  }

  close(options?: CloseOptions): void {
    const { reconnect = true } = checkCloseOptions(options)
    this.end('closed', reconnect ? undefined : { stayAway: true })
  }

  /**
   * Ends the stream because the app closes, before the response headers have been sent.
   *
   * @param retry returns the reconnection time, ms, for a request with such headers, or undefined for an error response
   * @returns whether the request has been answered. Fastify answers it otherwise.
   */
  turnAway(retry: (headers: IncomingHttpHeaders) => number | undefined): boolean {
    this.finish('shutdown')
    const time = retry(this.stream.headers)
    return this.stream.turnAway(time === undefined ? undefined : encodeRetry(time))
  }

  onLoss(events: number): void {
    this.context.onLoss(this, events)
  }

  protected onResync(reason: ResyncReason, missed: number | null): void {
    this.context.diagnostics.resync(this, reason, missed)
  }

  protected onStart(): void {
    this.context.diagnostics.replay(this)
  }

  protected onOpened(): void {
    this.context.onOpen(this)
  }

  protected onResponseFailed(error: unknown): void {
    this.context.onFail(this, error)
  }

  protected override onEnded(reason: DisconnectReason): void {
    this.#expiry?.stop()
    this.context.onEnd(this, reason)
    super.onEnded(reason)
  }
}
