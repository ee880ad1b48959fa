// What a client receives from the log: with its cohort while it is live, by a cursor of its own otherwise. The connection
// itself is in connection.ts, the client's public side in client.ts.

import type { DisconnectReason, ResyncReason } from '../../api/errors.js'
import type { Audience } from '../../log/audience.js'
import { type Chunk, type EventChunk, OwnChunk } from '../../log/chunk.js'
import { encodeConnected, encodeResync } from '../../log/encode.js'
import type { LogEntry } from '../../log/log-entry.js'
import type { Headers } from '../../wire/response.js'
import { CatchUp, type CatchUpTarget } from './catch-up.js'
import type { Arrival, ClientContext, CohortContext, Home } from './client-context.js'
import { Connection } from './connection.js'
import type { Resync } from './pending-resync.js'
import { type Until, upToLast } from './until.js'

/** Number of events that a client may still read when the app closes and its time is over. */
const FEW = 16

/**
 * A connection that follows the log. It has no queue of broadcast events. A *live* follower has received all of its events so
 * far, and receives new ones together with its cohort. Any other follower catches up by a cursor of its own: during a replay,
 * while its socket is full, until `onConnect` has resolved, and after a change of its subscriptions.
 */
export abstract class Follower extends Connection implements CatchUpTarget {
  /** Undefined while the follower is live. */
  #catchUp: CatchUp | undefined
  /** Whether it reads the log: false until `onConnect` has resolved. */
  #reading = false
  /** The event after which the stream ends. */
  readonly #until: Until | undefined
  /** `seq` of the last event id that was sent to it. Out of date while it is live: see `#lastTold`. */
  #told: number
  /** Its index among the live clients of its cohort. The cohort sets it. */
  liveIndex = 0
  #home: Home | undefined
  #audience: Audience
  abstract readonly id: string
  /** Whether it resumed from a valid last event id and has missed nothing since. */
  resumed: boolean

  /** @param id the client's id, which `except` of an event may name */
  constructor(context: ClientContext, id: string, arrival: Arrival) {
    super(context, arrival)
    const { topics, everyone, until, position, resumes } = arrival
    this.#audience = context.audiences.hold(topics, everyone)
    const isKnown = 'seq' in position
    this.resumed = isKnown && resumes
    this.#told = isKnown ? position.seq : (position.at ?? context.log.head)
    this.#catchUp = new CatchUp(context, this, id, this.#audience, this.#told)
    if (!isKnown) this.#catchUp.askFor({ reason: position.lost, missed: position.missed })
    this.#until = until
  }

  /** Its subscriptions, which it shares with all clients that have equal ones. */
  get audience(): Audience {
    return this.#audience
  }

  /** The log that it reads. */
  get source(): CohortContext {
    return this.context
  }

  /** Whether each event may be the last of its stream. */
  get awaitsLast(): boolean {
    return this.#until !== undefined
  }

  /** Number of its events that it has yet to receive, without those that it will lose. */
  get lag(): number {
    const overdue = this.#catchUp?.cursor.overdue ?? 0
    return overdue > 0 ? this.context.queueDepth : this.#unread
  }

  /** Takes over the response and sends the headers. Calls `opened` then, or never if the client disconnects before. */
  open(headers: Headers, opened: () => void): void {
    const { log, retry, keepAlive } = this.context
    // If the client got an id before the resync and were cut off in between, it would resume without noticing the gap.
    const id = this.#catchUp!.hasResync ? undefined : log.cursorAt(this.#told)
    const first = new OwnChunk(encodeConnected({ retry, id, client: this.id, keepAlive }))
    this.openWith(headers, first, opened)
  }

  /** Called with the number of events that it has lost. */
  abstract onLoss(events: number): void

  /** Called before a `resync` is sent. */
  protected abstract onResync(reason: ResyncReason, missed: number | null): void

  /** Called before it starts to read the log. */
  protected abstract onStart(): void

  /** Starts to read the log, once `onConnect` has resolved. */
  start(): void {
    if (this.closed) return
    this.#reading = true
    this.onStart()
    this.flush()
  }

  /** Sets the cohort that it belongs to. */
  settleIn(home: Home): void {
    this.#home = home
  }

  /** Leaves its cohort. */
  moveOut(): void {
    this.#home?.leave(this)
    this.#home = undefined
  }

  /** Counts an event whose `except` names it. */
  spare(entry: LogEntry): void {
    if (!this.closed) this.#catchUp?.cursor.spare(entry)
  }

  /** Receives what is new for its cohort, if not all clients receive the same. Call it only while it is live. */
  take(chunk: EventChunk, now: number): void {
    const own = chunk.for(this.id)
    if (own !== undefined) this.give(own, now)
  }

  /** Reads on by its own cursor. Call it only while it is not live. */
  advance(now: number): void {
    if (this.isBlocked) this.#catchUp!.expectLosses()
    else if (this.#reading) this.#read(now)
  }

  give(chunk: EventChunk, now: number): void {
    const last = this.#until === undefined ? undefined : upToLast(this.#until, chunk)
    const { entries } = last ?? chunk
    this.context.counters.deliveries += entries.length
    this.#told = entries.at(-1)!.seq
    this.write(last ?? chunk, now)
    if (last === undefined || this.closed) return
    this.stream.hurry()
    this.endHere('completed')
  }

  tellResync({ reason, missed }: Resync, seq: number, now: number): void {
    const { counters, log } = this.context
    counters.resyncs[reason]++
    this.onResync(reason, missed)
    this.#told = seq
    this.write(new OwnChunk(encodeResync(log.cursorAt(seq), reason, missed)), now)
  }

  overflow(): void {
    if (this.context.overflow === 'disconnect') this.cutFor('overflow')
  }

  /** As `send`, for an event that is already encoded. */
  deliver(chunk: Chunk): boolean {
    if (this.closed) return false
    if (this.#catchUp === undefined && this.#home!.isSettled) {
      this.write(chunk, performance.now())
      return !this.closed
    }
    const catchUp = this.#fallBehind()
    catchUp.push(chunk, this.#reading ? this.context.log.head : catchUp.cursor.seq)
    this.flush()
    catchUp.trim()
    return !this.closed
  }

  /** Changes its topics. Events before the change are read as they were, except for those of a topic that it leaves. */
  protected hear(topics: ReadonlySet<string>, change: 'subscribe' | { unsubscribe: string }): void {
    const catchUp = this.#fallBehind()
    const { audiences } = this.context
    const audience = audiences.hold(topics, this.#audience.hearsTopicless)
    audiences.release(this.#audience)
    this.#audience = audience
    const { cursor } = catchUp
    if (change !== 'subscribe') cursor.unsubscribe(change.unsubscribe)
    // A topic that `onConnect` adds counts as requested: the replay, and the events that came meanwhile, include it.
    else cursor.subscribe(audience, this.#reading ? undefined : cursor.seq)
    this.context.onAudience(this)
    if (change === 'subscribe' && !this.#reading) this.#checkPast(catchUp)
  }

  /** Skips to the head of the log and sends a `resync`: the process has missed events, and nobody knows which. */
  skipGap(): void {
    if (this.closed) return
    this.#skip(this.#fallBehind(), { reason: 'backplane', missed: null })
    if (this.isBlocked) this.onBlocked()
    this.flush()
  }

  /**
   * Ends the stream because the app closes, once the client has received everything.
   *
   * @param isLate whether it ends now in any case. The client resumes from there.
   */
  leave(farewell: { retry: number }, isLate: boolean): void {
    if (this.closed) return
    this.resume()
    const isNear = this.#unread <= FEW
    // When it is late, there is no time for a backlog of megabytes.
    if (isNear || !isLate) this.flush()
    // While the app closes, `hurry` compresses no more than the current chunk: clients do not read on by themselves.
    if (isNear || isLate) this.stream.hurry()
    if (isNear) this.flush()
    if (!this.closed && (this.#hasRead || isLate)) this.endHere('shutdown', farewell)
  }

  onFull(): void {
    this.#catchUp?.cursor.pause()
  }

  /** Reads on at once if it has yet to read events up to `seq`, which are about to be evicted. */
  hurry(seq: number): void {
    if (this.#catchUp !== undefined && this.#catchUp.cursor.seq < seq) this.stream.hurry()
    if (!this.stream.isBusy) this.context.busy.delete(this)
  }

  protected flush(): void {
    if (!this.isReady) return
    if (this.#catchUp === undefined && this.#home!.isSettled) return
    this.#fallBehind()
    this.#read(performance.now())
  }

  protected keepAlive(now: number): void {
    const { log, keepAlives } = this.context
    // If its topics are quiet and others are not, its last event id would grow so old that the log no longer knows it.
    const told = this.#lastTold
    const seq = this.#reading ? log.head : told
    this.write(keepAlives.at(seq === told ? undefined : log.cursorAt(seq)), now)
    this.#told = seq
  }

  protected onBlocked(): void {
    const { cursor } = this.#fallBehind()
    // While a chunk is being compressed, the client is not too slow.
    if (this.stream.isBusy) this.context.busy.add(this)
    else cursor.pause()
  }

  protected onUnblocked(): void {
    this.flush()
  }

  protected onEnded(_reason: DisconnectReason): void {
    this.#reading = false
    this.context.busy.delete(this)
    this.#catchUp?.release()
    this.context.audiences.release(this.#audience)
  }

  /** Number of events that it has yet to read. */
  get #unread(): number {
    return this.#catchUp?.cursor.lag ?? this.#home?.lagOf(this) ?? 0
  }

  /** Whether everything has been written. Bytes may still wait for the socket. */
  get #hasRead(): boolean {
    if (this.stream.isBusy) return false
    if (this.#catchUp === undefined) return this.#home!.isSettled
    return this.#catchUp.isEmpty && (!this.#reading || this.#unread === 0)
  }

  /** `seq` of the last event id that was sent to it, or of an earlier one. */
  get #lastTold(): number {
    return this.#catchUp === undefined ? Math.max(this.#told, this.#home!.told) : this.#told
  }

  /** Gives it a cursor of its own, if it is live. */
  #fallBehind(): CatchUp {
    this.#told = this.#lastTold
    this.#catchUp ??= new CatchUp(this.context, this, this.id, this.#audience, this.#home!.fallBehind(this))
    return this.#catchUp
  }

  #read(now: number): void {
    const catchUp = this.#catchUp!
    catchUp.read(now, this.#reading)
    if (catchUp !== this.#catchUp || !this.#reading || !this.takesMore || !catchUp.isDone) return
    if (!this.#home!.makeLive(this, this.#told)) return
    catchUp.release()
    this.#catchUp = undefined
  }

  /** Sends a `resync` if events of a topic that `onConnect` added have been evicted since its last event id. */
  #checkPast(catchUp: CatchUp): void {
    if (catchUp.hasResync) return
    const lost = this.context.reader.lostAfter(this.#told, this.#audience)
    if (lost !== undefined) this.#skip(catchUp, { reason: lost.lost, missed: lost.missed })
  }

  #skip(catchUp: CatchUp, resync: Resync): void {
    this.resumed = false
    catchUp.skip(resync)
  }
}
