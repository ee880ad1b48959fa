// The position in the log of one client that catches up, and where it loses its oldest events (`dropOldest`). Live clients share
// the position of their cohort (hub/clients/cohort.ts).

import type { Audience, Audiences } from './audience.js'
import type { EventChunk } from './chunk.js'
import type { EventLog } from './event-log.js'
import type { LogEntry } from './log-entry.js'
import type { LogReader } from './log-reader.js'

/** What all cursors of a hub share. */
export interface CursorContext {
  readonly log: EventLog
  readonly reader: LogReader
  readonly audiences: Audiences
  /** Number of events that a client may fall behind. */
  readonly queueDepth: number
}

/**
 * A change of audience ahead of the cursor. A count is the number of events that an audience has received since it was
 * created.
 */
interface Change {
  /** `seq` of the last event before the change. */
  readonly after: number
  audience: Audience
  /** Number of the audience's events since the change whose `except` names the client. */
  sparedFrom: number
  /** Count of the new audience at the change. */
  since: number
  /** Count of the previous audience at the change. */
  until: number
}

/** Shared by all cursors without changes, which are nearly all. */
const NONE: readonly Change[] = []

/**
 * The position of a client in the log: what it has received, what comes next, and how far it is behind. It only moves forward.
 */
export class Cursor {
  readonly #context: CursorContext
  readonly #clientId: string
  #audience: Audience
  /** Number of the audience's events whose `except` names the client. */
  #sparedFrom = 0
  /** Changes between the cursor and the head, in order. */
  #changes: readonly Change[] = NONE
  #seq: number
  /** Number of the audience's events up to the cursor, without those whose `except` names the client. */
  #had: number
  /** The head at the time of `pause`. */
  #mark: number | undefined
  /** Number of events up to `#mark` that are unread: a replay or a burst, which does not count as falling behind. */
  #backlog = 0
  /** Number of events that are lost but not reported yet. */
  #missed = 0

  /**
   * @param clientId the client's id, which `except` of an event may name
   * @param audience held until `release`
   * @param seq the last event that the client has received
   */
  constructor(context: CursorContext, clientId: string, audience: Audience, seq: number) {
    this.#context = context
    this.#clientId = clientId
    this.#audience = context.audiences.retain(audience)
    this.#seq = seq
    this.#had = this.#heardBy(this.#audience, 0, seq)
  }

  /** `seq` of the last event that the client has received or lost. */
  get seq(): number {
    return this.#seq
  }

  /** The audience at the head of the log. */
  get audience(): Audience {
    return this.#changes.at(-1)?.audience ?? this.#audience
  }

  get #spared(): number {
    return this.#changes.at(-1)?.sparedFrom ?? this.#sparedFrom
  }

  /** Number of unread events. */
  get lag(): number {
    let lag = this.#total(this.audience, this.#spared) - this.#had
    for (const { until, since } of this.#changes) lag += until - since
    return lag
  }

  /** Number of events past `queueDepth` that it has fallen behind since `pause`. */
  get overdue(): number {
    if (this.#mark === undefined) return 0
    return Math.max(0, this.lag - this.#backlog - this.#context.queueDepth)
  }

  /** Counts an event whose `except` names the client. */
  spare(entry: LogEntry): void {
    if (this.#audience.hears(entry)) this.#sparedFrom++
    for (const change of this.#changes) if (change.audience.hears(entry)) change.sparedFrom++
  }

  /** Returns the next chunk, up to `limit`, and moves behind it; undefined if there is none. */
  next(limit: number): EventChunk | undefined {
    const { log, reader } = this.#context
    for (;;) {
      this.#turn()
      const stop = Math.min(limit, this.#changes[0]?.after ?? limit)
      if (this.#seq >= stop) break
      const chunk = this.#move(reader.history(this.#audience, this.#seq, stop), stop)
      if (chunk !== undefined) return chunk
    }
    if (this.#seq === log.head) this.#mark = undefined
    return undefined
  }

  /** Starts to count how far the client falls behind, until it has reached the head. */
  pause(): void {
    if (this.#mark !== undefined) return
    this.#mark = this.#context.log.head
    this.#backlog = this.lag
  }

  /**
   * Skips the unread events past `queueDepth`, and those that the log has evicted.
   *
   * @returns the number of events lost since the last call
   */
  dropOldest(): number {
    this.#skipEvicted()
    if (this.overdue > 0) this.#skip(this.lag - this.#context.queueDepth)
    const missed = this.#missed
    this.#missed = 0
    return missed
  }

  /** Moves to the head of the log. The events in between are not counted as lost. */
  jump(): void {
    this.#turn(Number.POSITIVE_INFINITY)
    this.#mark = undefined
    this.#seq = this.#context.log.head
    this.#backlog = 0
    this.#missed = 0
    this.#had = this.#heardBy(this.#audience, this.#sparedFrom, this.#seq)
  }

  /** Changes the audience for events after `from`. Earlier ones are read as they were. */
  subscribe(to: Audience, from = this.#context.log.head): void {
    const { audiences } = this.#context
    const audience = audiences.retain(to)
    this.#skipEvicted()
    if (this.#seq < from || this.#changes.length > 0) {
      const since = this.#heardBy(audience, 0, from)
      const until = this.#heardBy(this.audience, this.#spared, from)
      this.#changes = [...this.#changes, { after: from, audience, sparedFrom: 0, since, until }]
      return
    }
    audiences.release(this.#audience)
    this.#audience = audience
    this.#recount()
  }

  /** Removes a topic or pattern, also for unread events. */
  unsubscribe(pattern: string): void {
    this.#skipEvicted()
    this.#audience = this.#without(pattern, this.#audience)
    const changes = this.#changes
    this.#changes = NONE
    for (const change of changes) {
      change.audience = this.#without(pattern, change.audience)
      // Without a difference there is no change any more.
      if (change.audience === this.audience) this.#context.audiences.release(change.audience)
      else this.#changes = [...this.#changes, change]
    }
    this.#recount()
  }

  /** Releases its audiences. Call it once, at the end. */
  release(): void {
    for (const { audience } of this.#changes) this.#context.audiences.release(audience)
    this.#context.audiences.release(this.#audience)
    this.#changes = NONE
  }

  /** Total number of events of an audience, without the spared ones. */
  #total(audience: Audience, spared: number): number {
    const topicless = audience.hearsTopicless ? this.#context.log.topiclessCount : 0
    return audience.heard + topicless - spared
  }

  /** The same up to `seq`. The log must hold all later events. */
  #heardBy(audience: Audience, spared: number, seq: number): number {
    return this.#total(audience, spared) - this.#context.reader.count(audience, seq, this.#clientId)
  }

  #without(pattern: string, audience: Audience): Audience {
    const { audiences } = this.#context
    const left = audience.patterns.filter((held) => held !== pattern)
    const without = audiences.hold(left, audience.hearsTopicless)
    audiences.release(audience)
    return without
  }

  /** Counts the unread events anew, after a change of audiences. */
  #recount(): void {
    const mark = this.#mark ?? 0
    let [audience, spared] = [this.#audience, this.#sparedFrom]
    let had = this.#heardBy(audience, spared, this.#seq)
    this.#had = had
    this.#backlog = 0
    for (const change of this.#changes) {
      const { after } = change
      change.until = this.#heardBy(audience, spared, after)
      this.#backlog += Math.max(0, this.#heardBy(audience, spared, Math.min(after, mark)) - had)
      audience = change.audience
      spared = change.sparedFrom
      had = this.#heardBy(audience, spared, after)
      change.since = had
    }
    this.#backlog += Math.max(0, this.#heardBy(audience, spared, mark) - had)
  }

  /** Applies the changes that the cursor has reached. */
  #turn(upTo = this.#seq): void {
    for (let [change] = this.#changes; change !== undefined && change.after <= upTo; [change] = this.#changes) {
      this.#context.audiences.release(this.#audience)
      this.#audience = change.audience
      this.#sparedFrom = change.sparedFrom
      this.#had = change.since
      this.#changes = this.#changes.slice(1)
    }
  }

  #skipEvicted(): void {
    const floor = this.#context.log.oldest - 1
    if (this.#seq >= floor) return
    const { lag } = this
    this.#turn(floor)
    this.#seq = floor
    this.#had = this.#heardBy(this.#audience, this.#sparedFrom, floor)
    this.#miss(lag - this.lag)
  }

  /** Skips the next events, this number of them. */
  #skip(events: number): void {
    const { log, reader } = this.#context
    for (let left = events; left > 0; ) {
      this.#turn()
      const stop = this.#changes[0]?.after ?? log.head
      const seq = this.#seq
      this.#seq = stop
      for (const entry of reader.heard(this.#audience, seq, stop)) {
        if (entry.except === this.#clientId) continue
        this.#had++
        left--
        if (left > 0) continue
        this.#seq = entry.seq
        break
      }
    }
    this.#miss(events)
  }

  #miss(events: number): void {
    this.#missed += events
    this.#backlog = Math.max(0, this.#backlog - events)
  }

  /** Moves behind a chunk. @returns the client's part of it */
  #move(chunk: EventChunk | undefined, otherwise: number): EventChunk | undefined {
    const own = chunk?.for(this.#clientId)
    const events = own?.entries.length ?? 0
    this.#seq = chunk?.to ?? otherwise
    this.#had += events
    this.#backlog = Math.max(0, this.#backlog - events)
    return own
  }
}
