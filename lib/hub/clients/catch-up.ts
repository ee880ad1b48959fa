// What a client needs only while it is not live. When that is so is described in follower.ts.

import type { Audience } from '../../log/audience.js'
import type { Chunk, EventChunk } from '../../log/chunk.js'
import { Cursor, type CursorContext } from '../../log/cursor.js'
import { Outbox } from './outbox.js'
import { PendingResync, type Resync } from './pending-resync.js'

/** Where a catch-up writes to. */
export interface CatchUpTarget {
  /** Whether more may be written now. */
  readonly takesMore: boolean
  /** Writes events of the log. */
  give(chunk: EventChunk, now: number): void
  /** Writes bytes that are not of the log. */
  write(chunk: Chunk, now: number): void
  /** Sends a `resync`, after which it continues behind `seq`. */
  tellResync(resync: Resync, seq: number, now: number): void
  /** Called when the client has lost events by reading too slowly. */
  overflow(): void
  /** Called with the number of events that the client has lost. */
  onLoss(events: number): void
}

/** What a cursor reads, and the limits of the outbox. */
export interface CatchUpContext extends CursorContext {
  readonly maxEventBytes: number
}

/** Brings one client to the head of the log: its cursor, the events for it alone, and the `resync` that it has yet to be sent. */
export class CatchUp {
  readonly cursor: Cursor
  readonly #context: CatchUpContext
  readonly #target: CatchUpTarget
  /** Created when needed, as is `#resync`: most clients need neither. */
  #outbox: Outbox | undefined
  #resync: PendingResync | undefined
  #isReleased = false

  /**
   * @param clientId the client's id, which `except` of an event may name
   * @param seq the last event that the client has received
   */
  constructor(context: CatchUpContext, target: CatchUpTarget, clientId: string, audience: Audience, seq: number) {
    this.#context = context
    this.#target = target
    this.cursor = new Cursor(context, clientId, audience, seq)
  }

  /** Whether a `resync` has yet to be sent. */
  get hasResync(): boolean {
    return this.#resync?.untold !== undefined
  }

  /** Whether neither a `resync` nor an event for the client alone waits. */
  get isEmpty(): boolean {
    return !this.hasResync && this.#outbox?.first === undefined
  }

  /** Whether nothing is left to read or to send. */
  get isDone(): boolean {
    return this.isEmpty && this.cursor.seq === this.#context.log.head
  }

  /** Writes what comes next, until no more may be written. @param readsLog whether to read the log, too */
  read(now: number, readsLog: boolean): void {
    const { cursor } = this
    const target = this.#target
    const given = cursor.dropOldest()
    if ((given > 0 || this.#resync !== undefined) && this.#pendingResync.confirm(given)) target.overflow()
    // A write may run code of a plugin that sends to this client, which catches up within that call.
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
        target.write(direct.chunk, now)
        continue
      }
      if (!readsLog) return
      const chunk = cursor.next(direct?.after ?? this.#context.log.head)
      if (chunk !== undefined) target.give(chunk, now)
      else if (direct === undefined) return
    }
  }

  /** Queues an event for this client alone, which is written once the client has received the log up to `after`. */
  push(chunk: Chunk, after: number): void {
    this.#outbox ??= new Outbox(this.#context.queueDepth, this.#context.maxEventBytes)
    this.#outbox.push({ after, chunk })
  }

  /** Call it after `push`: drops the oldest events for this client alone if there are too many. */
  trim(): void {
    const dropped = this.#outbox!.trim()
    if (dropped === 0) return
    this.#pendingResync.add(dropped)
    this.#target.overflow()
  }

  /** Counts the events that the client will lose once its socket drains. */
  expectLosses(): void {
    const { overdue } = this.cursor
    if (overdue > 0 && this.#pendingResync.expect(overdue)) this.#target.overflow()
  }

  /** Skips to the head of the log and sends a `resync`. */
  skip(resync: Resync): void {
    this.cursor.jump()
    this.askFor(resync)
  }

  /** Sends a `resync` before the client reads on. */
  askFor(resync: Resync): void {
    this.#pendingResync.replace(resync)
  }

  /** Releases the cursor's audiences. */
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
