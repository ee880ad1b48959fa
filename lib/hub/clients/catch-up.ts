import type { Audience } from '../../log/audience.js'
import type { Chunk, EventChunk } from '../../log/chunk.js'
import { Cursor, type CursorContext } from '../../log/cursor.js'
import { Outbox } from './outbox.js'
import { PendingResync, type Resync } from './pending-resync.js'

// What a client needs only while it is not live: while it replays, its socket is full, `onConnect` runs, or its
// subscriptions have just changed.

/** What a client's reading goes to. */
export interface CatchUpTarget {
  /** Whether it takes more now. */
  readonly takesMore: boolean
  /** Gives it events of the log. */
  give(chunk: EventChunk, now: number): void
  /** Gives it an event of its own. */
  giveDirect(chunk: Chunk, now: number): void
  /** Tells it what it has missed, and that it goes on after `seq`. */
  tellResync(resync: Resync, seq: number, now: number): void
  /** It has lost events by reading too slowly. */
  overflow(): void
  /** Events are lost for it. */
  onLoss(events: number): void
}

/** What comes between what the cursors of a hub read, and the limits of one client. */
export interface CatchUpContext extends CursorContext {
  readonly maxEventBytes: number
}

/** The way of one client to the head of the log: its own cursor, events to it alone, and the resync it has yet to be told. */
export class CatchUp {
  readonly cursor: Cursor
  readonly #context: CatchUpContext
  readonly #target: CatchUpTarget
  /** Made when needed, like the next: most need none. */
  #outbox: Outbox | undefined
  #resync: PendingResync | undefined
  #isReleased = false

  /**
   * @param clientId what `except` names the client by
   * @param seq the last event that the client has
   */
  constructor(context: CatchUpContext, target: CatchUpTarget, clientId: string, audience: Audience, seq: number) {
    this.#context = context
    this.#target = target
    this.cursor = new Cursor(context, clientId, audience, seq)
  }

  /** Whether a resync has yet to be told. */
  get hasResync(): boolean {
    return this.#resync?.untold !== undefined
  }

  /** Whether neither a resync nor an event to the client alone waits. */
  get isEmpty(): boolean {
    return !this.hasResync && this.#outbox?.first === undefined
  }

  /** Whether nothing is left to read or to tell. */
  get isDone(): boolean {
    return this.isEmpty && this.cursor.seq === this.#context.log.head
  }

  /** Gives the client what comes next, as long as it takes more. @param readsLog whether it is given what is in the log, too */
  read(now: number, readsLog: boolean): void {
    const { cursor } = this
    const target = this.#target
    const given = cursor.giveUp()
    if ((given > 0 || this.#resync !== undefined) && this.#pendingResync.confirm(given)) target.overflow()
    // Amid a write it may be read on, to the end, by code of a plugin that sends something to the client.
    while (target.takesMore && !this.#isReleased) {
      const resync = this.#resync?.untold
      if (resync !== undefined) {
        this.#resync = undefined
        target.tellResync(resync, cursor.seq, now)
        continue
      }
      const direct = this.#outbox?.first
      if (direct !== undefined && cursor.seq >= direct.after) {
        this.#outbox!.shift()
        target.giveDirect(direct.chunk, now)
        continue
      }
      if (!readsLog) return
      const chunk = cursor.next(direct?.after ?? this.#context.log.head)
      if (chunk !== undefined) target.give(chunk, now)
      else if (direct === undefined) return
    }
  }

  /** Adds an event to this client alone, which goes out when the client has had what follows up to `after`. */
  push(chunk: Chunk, after: number): void {
    this.#outbox ??= new Outbox(this.#context.queueDepth, this.#context.maxEventBytes)
    this.#outbox.push({ after, chunk })
  }

  /** After `push`: drops the oldest events to this client alone, where there are too many. */
  trim(): void {
    const dropped = this.#outbox!.trim()
    if (dropped === 0) return
    this.#pendingResync.add(dropped)
    this.#target.overflow()
  }

  /** The client's socket is full: counts what it will have lost by now. */
  expectLosses(): void {
    const { overdue } = this.cursor
    if (overdue > 0 && this.#pendingResync.expect(overdue)) this.#target.overflow()
  }

  /** The client goes on from the head of the log, and is told so. */
  skip(resync: Resync): void {
    this.cursor.jump()
    this.askFor(resync)
  }

  /** Has the client told of a resync before it reads on. */
  askFor(resync: Resync): void {
    this.#pendingResync.replace(resync)
  }

  /** It is of no more use. */
  release(): void {
    this.#isReleased = true
    this.#outbox?.clear()
    this.cursor.release()
  }

  get #pendingResync(): PendingResync {
    this.#resync ??= new PendingResync((events) => this.#target.onLoss(events))
    return this.#resync
  }
}
