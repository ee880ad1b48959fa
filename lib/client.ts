import { randomUUID } from 'node:crypto'
import type { Audience } from './audience.js'
import { type Chunk, OwnChunk } from './chunk.js'
import { Cursor, type CursorContext } from './cursor.js'
import { encodeConnected, encodeFarewell, encodeKeepAlive, encodeResync } from './encode.js'
import type { DisconnectReason } from './errors.js'
import type { EventEncoder } from './event-encoder.js'
import type { Position } from './event-log.js'
import { Expiry } from './expiry.js'
import { GzipStream } from './gzip-stream.js'
import { Losses } from './losses.js'
import { Outbox } from './outbox.js'
import type { CloseOptions, SseClient } from './sse-client.js'
import type { Counters } from './stats.js'
import { EventStream, type Headers, type Request, type Response, type StreamListener } from './stream.js'
import { checkSubscriptions, type SubscriptionLimits } from './topic.js'

/** Limits of a quiet or stuck client, ms; `Infinity` for none. */
export interface CareLimits {
  /** Without a write for so long, it gets a keepalive. */
  readonly keepAliveInterval: number
  /** Without taking bytes for so long, it is cut. */
  readonly stallTimeout: number
  /** Connected for so long, its stream is ended. */
  readonly maxConnectionAge: number
}

/** What the clients of a hub have in common. */
export interface ClientContext extends CursorContext {
  readonly counters: Counters
  readonly overflow: 'drop-oldest' | 'disconnect'
  readonly maxEventBytes: number
  readonly retry: number | undefined
  readonly encoder: EventEncoder
  readonly subscriptionLimits: SubscriptionLimits
  /** Called once, when a client has its head. */
  onOpen(client: Client): void
  /** Called when a client's audience has changed, from `before`. */
  onAudience(client: Client, before: Audience): void
  /** Called once for every client, opened or not. */
  onEnd(client: Client, reason: DisconnectReason): void
  /** Called when events are lost for a slow client. */
  readonly onLoss: (events: number) => void
}

/** What a request becomes a client with. */
export interface Arrival {
  /** Its place in the order of arrival, from 0. */
  readonly number: number
  readonly ip: string | undefined
  readonly topics: ReadonlySet<string>
  readonly position: Position
  /** Gives its slot back. */
  readonly release: () => void
  /** Whether it gets gzip. */
  readonly compressed: boolean
  readonly req: Request
  readonly res: Response
}

/**
 * One connection: a cursor into the log, and a socket. It owns no queue of broadcast events. While its socket is full
 * it is skipped; when it drains, it reads on from its cursor.
 */
export class Client implements SseClient, StreamListener {
  readonly number: number
  // A copy in one piece: what `randomUUID` gives is a tree of pieces, which takes ten times the memory.
  readonly id = Buffer.from(randomUUID(), 'latin1').toString('latin1')
  readonly ip: string | undefined

  readonly #context: ClientContext
  readonly #release: () => void
  readonly #stream: EventStream
  readonly #cursor: Cursor
  #topics: ReadonlySet<string>
  readonly #outbox: Outbox
  readonly #losses: Losses
  /** Whether it gets gzip. */
  readonly compressed: boolean
  readonly #arrivedAt = Date.now()
  #state: SseClient['state'] | undefined
  #expiry: Expiry | undefined
  /** Whether broadcasts flow: not before `onConnect` is through. */
  #reading = false
  #opened = false
  #ended = false
  /** Whether its socket is full. */
  #isBlocked = false
  /** When it was last seen to have taken bytes, or to have none to take, ms on the clock of `performance.now()`. */
  #takenAt = 0
  /** When it got its head, same clock. */
  #openedAt = 0
  /** The part of `maxConnectionAge` after which it goes: jittered, for those that came at once not to go at once. */
  readonly #agePart = 1 - 0.2 * Math.random()
  /** When it was last written to, same clock. */
  #lastWrite = 0
  /** `seq` of the last id it was told. */
  #told: number
  #onGone: (() => void) | undefined

  constructor(context: ClientContext, { number, ip, topics, position, release, req, res, compressed }: Arrival) {
    this.#context = context
    this.number = number
    this.ip = ip
    this.compressed = compressed
    this.#release = release
    this.#topics = topics
    const [seq, resync] =
      'seq' in position ? [position.seq] : [context.log.head, { reason: position.lost, missed: position.missed }]
    this.#losses = new Losses(context.onLoss, resync)
    this.#cursor = new Cursor(context, this.#topics, seq)
    this.#told = seq
    this.#outbox = new Outbox(context.queueDepth, context.maxEventBytes)
    this.#stream = compressed ? new GzipStream(req, res, this) : new EventStream(req, res, this)
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

  /** Whose events it hears. */
  get audience(): Audience {
    return this.#cursor.audience
  }

  /** Whether it has ended, on either side. */
  get closed(): boolean {
    return this.#ended
  }

  /** Whether its connection is through with the stream. */
  get gone(): boolean {
    return this.#stream.gone
  }

  /** Events of its audience that it is behind, without those that are lost for it. */
  get lag(): number {
    return this.#cursor.overdue > 0 ? this.#context.queueDepth : this.#cursor.lag
  }

  get expiresAt(): Date | undefined {
    return this.#expiry?.date
  }

  set expiresAt(date: Date | undefined) {
    this.#expiry ??= new Expiry(() => this.end('expired'))
    this.#expiry.date = date
    if (this.#ended) this.#expiry.stop()
  }

  /** Takes the response over and sends the head; calls `opened` then, or never, when the client goes before. */
  open(headers: Headers, opened: () => void): void {
    const { log, retry, counters } = this.#context
    // A cursor told before the resync would hide the gap, if the client were cut off between the two.
    const id = this.#losses.untold === undefined ? log.cursorAt(this.#cursor.seq) : undefined
    const first = new OwnChunk([encodeConnected(retry, id)])
    this.#stream.open(headers, first, () => {
      this.#opened = true
      counters.bytes += first.size
      this.#openedAt = this.#takenAt = this.#lastWrite = performance.now()
      this.#context.onOpen(this)
      opened()
    })
  }

  /** Lets broadcasts flow, from the cursor on. */
  start(): void {
    if (this.#ended) return
    this.#reading = true
    this.#flush()
  }

  /** Brings it up to the head of the log, as far as its socket takes the bytes. */
  advance(now: number): void {
    if (!this.#isBlocked) {
      if (this.#reading) this.#read(now)
    } else if (this.#losses.expect(this.#cursor.overdue)) {
      this.#overflow()
    }
  }

  /** Keeps a quiet connection alive, cuts a stuck one, and ends an old one. */
  tend(now: number, { keepAliveInterval, stallTimeout, maxConnectionAge }: CareLimits): void {
    // It may take bytes, if fewer than make it drain.
    if (this.#stream.hasTaken()) this.#takenAt = now
    if (now - this.#takenAt >= stallTimeout) this.#cut('stalled')
    else if (now - this.#openedAt >= maxConnectionAge * this.#agePart) this.end('aged')
    else if (!this.#isBlocked && now - this.#lastWrite >= keepAliveInterval) this.#keepAlive(now)
  }

  send(data: unknown, options: { event?: string | undefined } = {}): boolean {
    const { log, encoder } = this.#context
    const chunk = new OwnChunk([encoder.encodeDirect(data, options)])
    if (this.#ended) return false
    this.#outbox.push({ after: this.#reading ? log.head : this.#cursor.seq, chunk })
    this.#flush()
    const dropped = this.#outbox.trim()
    if (dropped > 0) {
      this.#losses.add(dropped)
      this.#overflow()
    }
    return !this.#ended
  }

  subscribe(topic: string): void {
    if (this.#ended || this.#topics.has(topic)) return
    const topics = new Set(this.#topics).add(topic)
    checkSubscriptions(topics, this.#context.subscriptionLimits)
    this.#topics = topics
    const before = this.audience
    // In `onConnect` it is as if it had asked for it: a replay, and what came while it waited, hold the topic.
    this.#cursor.subscribe(topics, this.#reading ? undefined : this.#cursor.seq)
    this.#context.onAudience(this, before)
    this.#flush()
  }

  unsubscribe(topic: string): void {
    if (this.#ended || !this.#topics.has(topic)) return
    const topics = new Set(this.#topics)
    topics.delete(topic)
    this.#topics = topics
    const before = this.audience
    this.#cursor.unsubscribe(topic)
    this.#context.onAudience(this, before)
    this.#flush()
  }

  close({ reconnect = true }: CloseOptions = {}): void {
    this.end('closed', reconnect ? undefined : { stayAway: true })
  }

  /**
   * Ends the stream properly.
   *
   * @param farewell `retry`: reconnection time to leave it with, ms; `stayAway`: whether it should not come back
   */
  end(reason: DisconnectReason, farewell?: { retry?: number; stayAway?: boolean }): void {
    if (this.#ended) return
    // What was broadcast or sent before belongs to the stream that ends here.
    this.#stream.hurry()
    this.#flush()
    this.#finish(reason)
    const last = farewell === undefined ? undefined : new OwnChunk([encodeFarewell(farewell)])
    if (last !== undefined && this.#opened) this.#context.counters.bytes += last.size
    this.#stream.end(last, reason === 'shutdown')
  }

  /** The process has missed events of others, nobody knows which: it goes on from the head, and is told so. */
  skipGap(): void {
    if (this.#ended) return
    this.#cursor.jump()
    if (this.#isBlocked) this.#cursor.pause()
    this.#losses.replace({ reason: 'backplane', missed: null })
    this.#flush()
  }

  onDrain(): void {
    if (!this.#isBlocked || this.#ended) return
    this.#isBlocked = false
    this.#read(performance.now())
  }

  onClose(): void {
    this.#finish('disconnected')
    this.#onGone?.()
  }

  /** Resolves when its connection is through with the stream. */
  whenGone(): Promise<void> {
    return new Promise((resolve) => {
      this.#onGone = resolve
    })
  }

  #cut(reason: DisconnectReason): void {
    this.#finish(reason)
    this.#stream.destroy()
  }

  #finish(reason: DisconnectReason): void {
    if (this.#ended) return
    this.#ended = true
    this.#reading = false
    this.#expiry?.stop()
    this.#outbox.clear()
    this.#release()
    this.#context.onEnd(this, reason)
    this.#cursor.release()
  }

  #flush(): void {
    if (this.#opened && !this.#isBlocked) this.#read(performance.now())
  }

  #read(now: number): void {
    const { log, counters } = this.#context
    if (this.#losses.confirm(this.#cursor.giveUp())) this.#overflow()
    while (!this.#ended && !this.#isBlocked) {
      if (this.#losses.untold !== undefined) {
        this.#tellResync(now)
        continue
      }
      const direct = this.#outbox.first
      if (direct !== undefined && this.#cursor.seq >= direct.after) {
        this.#outbox.shift()
        this.#write(direct.chunk, now)
        continue
      }
      if (!this.#reading) return
      const chunk = this.#cursor.next(direct?.after ?? log.head)
      if (chunk === undefined) {
        if (direct === undefined) return
        continue
      }
      const own = chunk.for(this.id)
      if (own === undefined) continue
      counters.deliveries += own.entries.length
      this.#told = own.entries.at(-1)!.seq
      this.#write(own, now)
    }
  }

  #keepAlive(now: number): void {
    const { log } = this.#context
    this.#flush()
    if (this.#isBlocked || this.#ended) return
    // Where its topics are quiet and the log is not, its last event id would grow old, and expire while it listens.
    const seq = this.#reading ? log.head : this.#told
    this.#write(seq === this.#told ? KEEP_ALIVE : new OwnChunk([encodeKeepAlive(log.cursorAt(seq))]), now)
    this.#told = seq
  }

  #write(chunk: Chunk, now: number): void {
    this.#lastWrite = now
    this.#context.counters.bytes += chunk.size
    if (this.#stream.write(chunk)) return
    this.#isBlocked = true
    this.#cursor.pause()
  }

  /** It has lost events, by reading too slowly. */
  #overflow(): void {
    if (this.#context.overflow === 'disconnect') this.#cut('overflow')
  }

  #tellResync(now: number): void {
    const { reason, missed } = this.#losses.untold!
    this.#losses.clear()
    this.#context.counters.resyncs[reason]++
    this.#told = this.#cursor.seq
    this.#write(new OwnChunk([encodeResync(this.#context.log.cursorAt(this.#told), reason, missed)]), now)
  }
}

const KEEP_ALIVE = new OwnChunk([encodeKeepAlive()])
