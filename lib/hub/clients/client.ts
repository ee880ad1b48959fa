import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { CloseOptions, SseClient } from '../../api/api.js'
import type { DisconnectReason } from '../../api/errors.js'
import { checkCloseOptions } from '../../api/input/option-checks.js'
import type { Audience } from '../../log/audience.js'
import { type Chunk, OwnChunk } from '../../log/chunk.js'
import { Cursor } from '../../log/cursor.js'
import {
  encodeConnected,
  encodeFarewell,
  encodeResync,
  encodeRetry,
  encodeSubscription,
  type Farewell
} from '../../log/encode.js'
import type { EventLog } from '../../log/event-log.js'
import type { LogEntry } from '../../log/log-entry.js'
import { checkSubscriptions } from '../../log/topic.js'
import { GzipStream } from '../../wire/gzip-stream.js'
import type { Headers } from '../../wire/response.js'
import { EventStream } from '../../wire/stream.js'
import type { StreamListener } from '../../wire/stream-listener.js'
import type { Arrival, CareLimits, ClientContext, Home, Scope } from './client-context.js'
import { endSignalOf } from './end-signal.js'
import { Expiry } from './expiry.js'
import type { Slot } from './ip-limit.js'
import { type Until, upToLast } from './last-event.js'
import { Outbox } from './outbox.js'
import { PendingResync } from './pending-resync.js'

/** Events that a client gets at once when the app closes, whatever they cost; for more, its time must not be over. */
const FEW = 16

/**
 * One connection: a cursor into the log, and a socket. It owns no queue of broadcast events. While its socket is full
 * it is skipped; when it drains, it reads on from its cursor.
 */
export class Client implements SseClient, StreamListener {
  // What every flush looks at comes first, close together in memory: it is what a delivery waits for.
  readonly #context: ClientContext<Client>
  /** Whether its socket is full. */
  #isBlocked = false
  /** Whether broadcasts flow: not before `onConnect` is through. */
  #reading = false
  #isPaused = false
  #ended = false
  readonly #cursor: Cursor
  readonly #stream: EventStream
  /** Made when it is needed, like the next: most clients need none. */
  #outbox: Outbox | undefined
  /** Those that it has yet to be told of. */
  #pendingResync: PendingResync | undefined
  /** After which event its stream ends, if after any. */
  readonly #until: Until | undefined
  /** `seq` of the last id it was told. */
  #told: number
  /** When it was last written to, ms on the clock of `performance.now()`. Whole ones: others take memory of their own. */
  #lastWrite = 0

  /** Its place in the order of arrival, from 0. */
  readonly number: number
  // A copy in one piece: what `randomUUID` gives is a tree of pieces, which takes ten times the memory.
  readonly id = Buffer.from(randomUUID(), 'latin1').toString('latin1')
  readonly ip: string | undefined
  /** Whether it came with a cursor that was good, and has missed nothing since. */
  resumed: boolean
  /** Whether it gets gzip. */
  readonly compressed: boolean
  /** Where the app's callbacks run. */
  readonly scope: Scope
  #home: Home | undefined
  #place = 0
  readonly #slot: Slot
  #topics: ReadonlySet<string>
  /** Those that the app has subscribed it to, where it asks to be told of them. */
  readonly #given: Set<string> | undefined
  readonly #arrivedAt = Date.now()
  #state: SseClient['state'] | undefined
  #expiry: Expiry | undefined
  /** Why it has ended. */
  #endReason: DisconnectReason | undefined
  #opened = false
  /** When it was last seen to have taken bytes, or to have none to take, same clock. */
  #takenAt = 0
  /** When it got its head, same clock. */
  #openedAt = 0
  /** Thousandths of `maxConnectionAge` by which it goes earlier, for those that came at once not to go at once. */
  readonly #ageCut = Math.floor(Math.random() * 200)
  #onGone: (() => void) | undefined

  constructor(
    context: ClientContext<Client>,
    number: number,
    {
      ip,
      topics,
      tellsSubscriptions,
      everyone,
      until,
      state,
      position,
      resumes,
      slot,
      req,
      res,
      compressed,
      scope
    }: Arrival
  ) {
    this.#context = context
    this.number = number
    this.ip = ip
    this.compressed = compressed
    this.scope = scope
    this.#slot = slot
    this.#topics = topics
    if (tellsSubscriptions) this.#given = new Set()
    const isKnown = 'seq' in position
    this.resumed = isKnown && resumes
    const seq = isKnown ? position.seq : (position.at ?? context.log.head)
    if (!isKnown)
      this.#pendingResync = new PendingResync(this.#onLoss, { reason: position.lost, missed: position.missed })
    this.#cursor = new Cursor(context, this.id, this.#topics, seq, everyone)
    this.#told = seq
    this.#until = until
    if (state !== undefined) this.#state = state as SseClient['state']
    this.#stream = compressed ? new GzipStream(req, res, this) : new EventStream(req, res, this)
  }

  get signal(): AbortSignal {
    return endSignalOf(this, this.#endReason)
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

  /** Whether a log is the one that it reads. */
  reads(log: EventLog): boolean {
    return this.#context.log === log
  }

  /** Whether it has ended, on either side. */
  get closed(): boolean {
    return this.#ended
  }

  /** When it got its head, ms on the clock of `performance.now()`. */
  get openedAt(): number {
    return this.#openedAt
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
    const { log, counters, retry, keepAlive } = this.#context
    // A cursor told before the resync would hide the gap, if the client were cut off between the two.
    const id = this.#pendingResync?.untold === undefined ? log.cursorAt(this.#cursor.seq) : undefined
    const first = new OwnChunk([encodeConnected({ retry, id, client: this.id, keepAlive })])
    this.#stream.open(headers, first, () => {
      this.#opened = true
      counters.bytes += first.size
      this.#openedAt = this.#takenAt = this.#lastWrite = Math.ceil(performance.now())
      this.#context.onOpen(this)
      opened()
    })
  }

  /** An event has been appended that leaves it out. */
  spare(entry: LogEntry): void {
    if (!this.#ended) this.#cursor.spare(entry)
  }

  /** It is kept there from now on. */
  settleIn(home: Home, place: number): void {
    this.#home = home
    this.#place = place
  }

  /** It is kept nowhere any more. */
  moveOut(): void {
    this.#home?.leave(this.#place)
    this.#home = undefined
  }

  /** Lets broadcasts flow, from the cursor on. */
  start(): void {
    if (this.#ended) return
    this.#reading = true
    this.#context.diagnostics.replay(this)
    this.#flush()
  }

  /** Brings it up to the head of the log, as far as its socket takes the bytes. */
  advance(now: number): void {
    if (!this.#isBlocked) {
      if (this.#reading) this.#read(now)
    } else {
      const { overdue } = this.#cursor
      if (overdue > 0 && this.#resync.expect(overdue)) this.#overflow()
    }
  }

  /** Keeps a quiet connection alive, cuts a stuck one, and ends an old one. */
  tend(now: number, { keepAliveInterval, stallTimeout, maxConnectionAge }: CareLimits): void {
    // It may take bytes, if fewer than make it drain.
    if (this.#stream.hasTaken()) this.#takenAt = Math.ceil(now)
    if (now - this.#takenAt >= stallTimeout) this.#cut('stalled')
    else if (now - this.#openedAt >= maxConnectionAge * (1 - this.#ageCut / 1000)) this.end('aged')
    else if (this.#isQuiet(now, keepAliveInterval)) {
      // What was broadcast within this turn keeps the connection alive, too.
      this.#flush()
      if (this.#isQuiet(now, keepAliveInterval)) this.#keepAlive(now)
    }
  }

  send(data: unknown, options?: { event?: string | undefined }): boolean {
    return this.deliver(new OwnChunk([this.#context.encoder.encodeDirect(data, options)]))
  }

  /** As `send`, of an event that is encoded already. */
  deliver(chunk: Chunk): boolean {
    const { log } = this.#context
    if (this.#ended) return false
    this.#outbox ??= new Outbox(this.#context.queueDepth, this.#context.maxEventBytes)
    this.#outbox.push({ after: this.#reading ? log.head : this.#cursor.seq, chunk })
    this.#flush()
    const dropped = this.#outbox.trim()
    if (dropped > 0) {
      this.#resync.add(dropped)
      this.#overflow()
    }
    return !this.#ended
  }

  subscribe(topic: string): void {
    if (this.#ended) return
    if (!this.#topics.has(topic)) {
      const topics = new Set(this.#topics).add(topic)
      checkSubscriptions(topics, this.#context.subscriptionLimits)
      this.#topics = topics
      // In `onConnect` it is as if it had asked for it: a replay, and what came while it waited, hold the topic.
      this.#cursor.subscribe(topics, this.#reading ? undefined : this.#cursor.seq)
      this.#context.onAudience(this)
      if (!this.#reading) this.#checkPast()
    }
    // Also of one that it has asked for: it may pass on to others what it has not.
    if (this.#given !== undefined && !this.#given.has(topic)) {
      this.#given.add(topic)
      this.deliver(new OwnChunk([encodeSubscription(topic, true)]))
    }
    this.#flush()
  }

  unsubscribe(topic: string): void {
    if (this.#ended || !this.#topics.has(topic)) return
    const topics = new Set(this.#topics)
    topics.delete(topic)
    this.#topics = topics
    this.#cursor.unsubscribe(topic)
    this.#context.onAudience(this)
    if (this.#given?.delete(topic)) this.deliver(new OwnChunk([encodeSubscription(topic, false)]))
    this.#flush()
  }

  close(options?: CloseOptions): void {
    const { reconnect = true } = checkCloseOptions(options)
    this.end('closed', reconnect ? undefined : { stayAway: true })
  }

  /**
   * Ends the stream properly.
   *
   * @param farewell what it is left with, if anything
   */
  end(reason: DisconnectReason, farewell?: Farewell): void {
    if (this.#ended) return
    // What was broadcast or sent before belongs to the stream that ends here.
    this.#flush()
    this.#stream.hurry()
    this.#endHere(reason, farewell)
  }

  /**
   * Ends the stream because the app closes, before the response headers have been sent.
   *
   * @param retry gives a reconnection time, ms, where a request with such headers is told one
   * @returns whether it has been answered; Fastify answers it otherwise
   */
  turnAway(retry: (headers: IncomingHttpHeaders) => number | undefined): boolean {
    this.#finish('shutdown')
    const time = retry(this.#stream.headers)
    return this.#stream.turnAway(time === undefined ? undefined : encodeRetry(time))
  }

  #endHere(reason: DisconnectReason, farewell: Farewell | undefined): void {
    this.#finish(reason)
    const last = farewell === undefined ? undefined : new OwnChunk([encodeFarewell(farewell)])
    if (last !== undefined && this.#opened) this.#context.counters.bytes += last.size
    // When the app closes, `Clients` cuts those that take too long: thousands of timers would fall into one turn.
    this.#stream.end(last, reason !== 'shutdown')
  }

  /**
   * Ends the stream for the closing of the app, once it has read everything.
   *
   * @param isLate whether it ends where it is, from where it will resume
   */
  leave(farewell: { retry: number }, isLate: boolean): void {
    if (this.#ended) return
    this.resume()
    const isNear = this.#cursor.lag <= FEW
    // Late, there is no time for a backlog of megabytes.
    if (isNear || !isLate) this.#flush()
    // While the app closes, that is no more than the chunk that is being compressed: clients do not read on by it.
    if (isNear || isLate) this.#stream.hurry()
    if (isNear) this.#flush()
    if (this.#hasRead || isLate) this.#endHere('shutdown', farewell)
  }

  /** Cuts it for the closing of the app, where its last bytes are not out. */
  cut(): void {
    if (!this.gone) this.#cut('shutdown')
  }

  /** The process has missed events of others, nobody knows which: it goes on from the head, and is told so. */
  skipGap(): void {
    if (this.#ended) return
    this.#cursor.jump()
    this.resumed = false
    if (this.#isBlocked) this.#halt()
    this.#resync.replace({ reason: 'backplane', missed: null })
    this.#flush()
  }

  /** Whether it is given nothing until `resume`. */
  get isPaused(): boolean {
    return this.#isPaused
  }

  /** Treats its socket as full until `resume`: it falls behind as a client does that does not read. */
  pause(): void {
    if (this.#ended || this.#isPaused) return
    this.#isPaused = true
    this.#halt()
  }

  /** Lets it read on. */
  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.onDrain()
  }

  onDrain(): void {
    if (this.#isPaused) {
      this.#cursor.pause()
      return
    }
    this.#isBlocked = false
    if (!this.#context.isClosing) this.#read(performance.now())
  }

  onFull(): void {
    this.#cursor.pause()
  }

  /** Reads on at once, if it has yet to read what follows `seq`, which is about to leave the log. */
  hurry(seq: number): void {
    if (this.#cursor.seq < seq) this.#stream.hurry()
    if (!this.#stream.isBusy) this.#context.busy.delete(this)
  }

  onFail(error: unknown): void {
    this.#context.onFail(this, error)
    this.#finish('error')
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

  /** In `onConnect` it may have subscribed to what has had events since it was here, which the log has evicted. */
  #checkPast(): void {
    if (this.#pendingResync?.untold !== undefined) return
    const lost = this.#context.reader.lostAfter(this.#told, this.audience)
    if (lost === undefined) return
    this.#cursor.jump()
    this.resumed = false
    this.#resync.replace({ reason: lost.lost, missed: lost.missed })
  }

  /** `#pendingResync`, made where there is none yet. */
  get #resync(): PendingResync {
    this.#pendingResync ??= new PendingResync(this.#onLoss)
    return this.#pendingResync
  }

  get #onLoss(): (events: number) => void {
    return (events) => this.#context.onLoss(this, events)
  }

  /** Whether it has been given everything that is there for it; bytes of it may wait for its socket. */
  get #hasRead(): boolean {
    if (this.#stream.isBusy || this.#pendingResync?.untold !== undefined || this.#outbox?.first !== undefined)
      return false
    return !this.#reading || this.#cursor.lag === 0
  }

  #cut(reason: DisconnectReason): void {
    this.#finish(reason)
    this.#stream.destroy()
  }

  #finish(reason: DisconnectReason): void {
    if (this.#ended) return
    this.#ended = true
    this.#endReason = reason
    this.#reading = false
    this.#expiry?.stop()
    this.#outbox?.clear()
    this.#slot.release()
    this.#context.busy.delete(this)
    this.#context.onEnd(this, reason)
    this.#cursor.release()
  }

  #flush(): void {
    if (this.#opened && !this.#isBlocked) this.#read(performance.now())
  }

  #read(now: number): void {
    const { log, counters } = this.#context
    const given = this.#cursor.giveUp()
    if ((given > 0 || this.#pendingResync !== undefined) && this.#resync.confirm(given)) this.#overflow()
    while (!this.#ended && !this.#isBlocked) {
      if (this.#pendingResync?.untold !== undefined) {
        this.#tellResync(now)
        continue
      }
      const direct = this.#outbox?.first
      if (direct !== undefined && this.#cursor.seq >= direct.after) {
        this.#outbox!.shift()
        this.#write(direct.chunk, now)
        continue
      }
      if (!this.#reading) return
      const chunk = this.#cursor.next(direct?.after ?? log.head)
      if (chunk === undefined) {
        if (direct === undefined) return
        continue
      }
      const last = this.#until === undefined ? undefined : upToLast(this.#until, chunk)
      const { entries } = last ?? chunk
      counters.deliveries += entries.length
      this.#told = entries.at(-1)!.seq
      this.#write(last ?? chunk, now)
      if (last !== undefined && !this.#ended) this.#complete()
    }
  }

  /** It has had the event that its stream ends after. */
  #complete(): void {
    this.#stream.hurry()
    this.#endHere('completed', undefined)
  }

  #isQuiet(now: number, keepAliveInterval: number): boolean {
    return !this.#isBlocked && !this.#ended && now - this.#lastWrite >= keepAliveInterval
  }

  #keepAlive(now: number): void {
    const { log, keepAliveAt } = this.#context
    // Where its topics are quiet and the log is not, its last event id would grow old while it listens, and the
    // log may forget what it has evicted since.
    const seq = this.#reading ? log.head : this.#told
    this.#write(keepAliveAt(seq === this.#told ? undefined : log.cursorAt(seq)), now)
    this.#told = seq
  }

  #write(chunk: Chunk, now: number): void {
    this.#lastWrite = Math.ceil(now)
    this.#context.counters.bytes += chunk.size
    if (!this.#stream.write(chunk)) this.#halt()
  }

  /** Its stream takes nothing more for now. */
  #halt(): void {
    this.#isBlocked = true
    // Its response may have thrown.
    if (this.#ended) return
    if (!this.#stream.isBusy) {
      this.#cursor.pause()
      return
    }
    this.#cursor.rest()
    this.#context.busy.add(this)
  }

  /** It has lost events, by reading too slowly. */
  #overflow(): void {
    if (this.#context.overflow === 'disconnect') this.#cut('overflow')
  }

  #tellResync(now: number): void {
    const { reason, missed } = this.#pendingResync!.untold!
    this.#pendingResync = undefined
    this.#context.counters.resyncs[reason]++
    this.#context.diagnostics.resync(this, reason, missed)
    this.#told = this.#cursor.seq
    this.#write(new OwnChunk([encodeResync(this.#context.log.cursorAt(this.#told), reason, missed)]), now)
  }
}
