import type { DisconnectReason, ResyncReason } from '../../api/errors.js'
import type { Audience } from '../../log/audience.js'
import { type Chunk, type EventChunk, OwnChunk } from '../../log/chunk.js'
import { encodeConnected, encodeResync } from '../../log/encode.js'
import type { EventLog } from '../../log/event-log.js'
import type { LogEntry } from '../../log/log-entry.js'
import type { Headers } from '../../wire/response.js'
import { CatchUp, type CatchUpTarget } from './catch-up.js'
import type { Arrival, ClientContext, Home, Source } from './client-context.js'
import { Connection } from './connection.js'
import { type Until, upToLast } from './last-event.js'
import type { Resync } from './pending-resync.js'

/** Events that a client gets at once when the app closes, whatever they cost; for more, its time must not be over. */
const FEW = 16

/**
 * A connection that follows the log. It owns no queue of broadcast events. A *live* one has had all that is there for it, and is
 * given what is new with its cohort. Any other catches up by a cursor of its own: while it replays, while its socket is full,
 * before `onConnect` is through, and where its subscriptions have just changed.
 */
export abstract class Follower extends Connection implements CatchUpTarget {
  /** Its way to the head of the log; nothing while it is live. */
  #catchUp: CatchUp | undefined
  /** Whether it reads the log: not before `onConnect` is through. */
  #reading = false
  /** After which event its stream ends, if after any. */
  readonly #until: Until | undefined
  /** `seq` of the last id it was told. */
  #told: number
  /** Its index among the live clients of its cohort. */
  place = 0
  #home: Home | undefined
  #audience: Audience
  abstract readonly id: string
  /** Whether it came with a cursor that was good, and has missed nothing since. */
  resumed: boolean

  /** @param id what `except` names it by */
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

  /** Whose events it hears. */
  get audience(): Audience {
    return this.#audience
  }

  /** What it reads. */
  get source(): Pick<Source, 'log' | 'reader'> {
    return this.context
  }

  /** Whether a log is the one that it reads. */
  reads(log: EventLog): boolean {
    return this.context.log === log
  }

  /** Events of its audience that it is behind, without those that are lost for it. */
  get lag(): number {
    const overdue = this.#catchUp?.cursor.overdue ?? 0
    return overdue > 0 ? this.context.queueDepth : this.#unread
  }

  /** Takes the response over and sends the headers; calls `opened` then, or never if the client goes before. */
  open(headers: Headers, opened: () => void): void {
    const { log, retry, keepAlive } = this.context
    // A cursor told before the resync would hide the gap, if the client were cut off between the two.
    const id = this.#catchUp!.hasResync ? undefined : log.cursorAt(this.#told)
    const first = new OwnChunk([encodeConnected({ retry, id, client: this.id, keepAlive })])
    this.openWith(headers, first, opened)
  }

  /** Events are lost for it. */
  abstract onLoss(events: number): void

  /** It is about to be told of a resync. */
  protected abstract onResync(reason: ResyncReason, missed: number | null): void

  /** It is about to read the log. */
  protected abstract onStart(): void

  /** Lets broadcasts flow. */
  start(): void {
    if (this.closed) return
    this.#reading = true
    this.onStart()
    this.flush()
  }

  /** It is kept there from now on. */
  settleIn(home: Home): void {
    this.#home = home
  }

  /** It is kept nowhere any more. */
  moveOut(): void {
    this.#home?.leave(this)
    this.#home = undefined
  }

  /** An event has been appended that leaves it out. */
  spare(entry: LogEntry): void {
    if (!this.closed) this.#catchUp?.cursor.spare(entry)
  }

  /** It is live, and this is new for its cohort. */
  take(chunk: EventChunk, now: number): void {
    const own = chunk.for(this.id)
    if (own !== undefined) this.give(own, now)
  }

  /** It catches up, and the log has something for its cohort. */
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

  giveDirect(chunk: Chunk, now: number): void {
    this.write(chunk, now)
  }

  tellResync({ reason, missed }: Resync, seq: number, now: number): void {
    const { counters, log } = this.context
    counters.resyncs[reason]++
    this.onResync(reason, missed)
    this.#told = seq
    this.write(new OwnChunk([encodeResync(log.cursorAt(seq), reason, missed)]), now)
  }

  overflow(): void {
    if (this.context.overflow === 'disconnect') this.cutFor('overflow')
  }

  /** As `send`, of an event that is encoded already. */
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

  /** Has it hear other topics. What came before is read as it was, but for a topic that it leaves. */
  protected hear(topics: ReadonlySet<string>, change: 'subscribe' | { unsubscribe: string }): void {
    const catchUp = this.#fallBehind()
    const { audiences } = this.context
    const audience = audiences.hold(topics, this.#audience.hearsCommon)
    audiences.release(this.#audience)
    this.#audience = audience
    const { cursor } = catchUp
    if (change !== 'subscribe') cursor.unsubscribe(change.unsubscribe)
    // In `onConnect` it is as if it had asked for it: a replay, and what came while it waited, hold the topic.
    else cursor.subscribe(audience, this.#reading ? undefined : cursor.seq)
    this.context.onAudience(this)
    if (change === 'subscribe' && !this.#reading) this.#checkPast(catchUp)
  }

  /** The process has missed events of others, nobody knows which: it goes on from the head, and is told so. */
  skipGap(): void {
    if (this.closed) return
    this.#skip(this.#fallBehind(), { reason: 'backplane', missed: null })
    if (this.isBlocked) this.onBlocked()
    this.flush()
  }

  /**
   * Ends the stream for the closing of the app, once it has read everything.
   *
   * @param isLate whether it ends where it is, from where it will resume
   */
  leave(farewell: { retry: number }, isLate: boolean): void {
    if (this.closed) return
    this.resume()
    const isNear = this.#unread <= FEW
    // Late, there is no time for a backlog of megabytes.
    if (isNear || !isLate) this.flush()
    // While the app closes, that is no more than the chunk that is being compressed: clients do not read on by it.
    if (isNear || isLate) this.stream.hurry()
    if (isNear) this.flush()
    if (!this.closed && (this.#hasRead || isLate)) this.endHere('shutdown', farewell)
  }

  onFull(): void {
    this.#catchUp?.cursor.pause()
  }

  /** Reads on at once, if it has yet to read what follows `seq`, which is about to leave the log. */
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
    const { log, keepAliveAt } = this.context
    // Where its topics are quiet and the log is not, its last event id would grow old while it listens, and the
    // log may forget what it has evicted since.
    const seq = this.#reading ? log.head : this.#told
    this.write(keepAliveAt(seq === this.#told ? undefined : log.cursorAt(seq)), now)
    this.#told = seq
  }

  protected onBlocked(): void {
    const { cursor } = this.#fallBehind()
    // While it compresses it does not read too slowly.
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

  /** Events that it has yet to read. */
  get #unread(): number {
    return this.#catchUp?.cursor.lag ?? this.#home?.lagOf(this) ?? 0
  }

  /** Whether it has been given everything that is there for it; bytes of it may wait for its socket. */
  get #hasRead(): boolean {
    if (this.stream.isBusy) return false
    if (this.#catchUp === undefined) return this.#home!.isSettled
    return this.#catchUp.isEmpty && (!this.#reading || this.#unread === 0)
  }

  /** Ceases to be live, where it is. */
  #fallBehind(): CatchUp {
    this.#catchUp ??= new CatchUp(this.context, this, this.id, this.#audience, this.#home!.fallBehind(this))
    return this.#catchUp
  }

  #read(now: number): void {
    const catchUp = this.#catchUp!
    catchUp.read(now, this.#reading)
    if (catchUp !== this.#catchUp || !this.#reading || !this.takesMore || !catchUp.isDone) return
    if (!this.#home!.makeLive(this)) return
    catchUp.release()
    this.#catchUp = undefined
  }

  /** In `onConnect` it may have subscribed to what has had events since it was here, which the log has evicted. */
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
