import type { Audience, Audiences } from './audience.js'
import type { EventChunk } from './chunk.js'
import type { EventLog } from './event-log.js'
import type { LogEntry } from './log-entry.js'
import type { LogReader } from './log-reader.js'

/** What the cursors of a hub read. */
export interface CursorContext {
  readonly log: EventLog
  readonly reader: LogReader
  readonly audiences: Audiences
  /** Events that a client may fall behind. */
  readonly queueDepth: number
}

/** A change of audience that lies ahead. Counts are by an audience's own. */
interface Change {
  /** The last event before it. */
  readonly after: number
  audience: Audience
  /** Events since that this audience heard, and the client did not: `except` named it. */
  sparedFrom: number
  /** What its audience had heard by then. */
  since: number
  /** What the audience before it had. */
  until: number
}

/** Shared by all that have none, which is nearly all. */
const NONE: readonly Change[] = []

/**
 * The place in the log of a client that catches up: what it has had, what comes next, and how far it is behind. Live clients
 * have none: they share the place of their cohort.
 */
export class Cursor {
  readonly #context: CursorContext
  readonly #clientId: string
  #audience: Audience
  /** Events that it heard, and the client did not: `except` named it. */
  #sparedFrom = 0
  /** In order, between here and the head. */
  #changes: readonly Change[] = NONE
  #seq: number
  /** How many of its audience's events have been read or missed, by the audience's own count, without the spared ones. */
  #had: number
  /** The head when its client ceased to read. */
  #mark: number | undefined
  /** Events up to there that it has yet to read: a replay or a burst, which does not count as falling behind. */
  #backlog = 0
  /** Events given up, but not reported yet. */
  #missed = 0

  /**
   * @param clientId what `except` names it by
   * @param audience whose events it reads; held until `release`
   * @param seq the last event it has
   */
  constructor(context: CursorContext, clientId: string, audience: Audience, seq: number) {
    this.#context = context
    this.#clientId = clientId
    this.#audience = context.audiences.retain(audience)
    this.#seq = seq
    this.#had = this.#heardBy(this.#audience, 0, seq)
  }

  /** `seq` of the last event it has had, or has been told it missed. */
  get seq(): number {
    return this.#seq
  }

  /** Whose events it reads once it is at the head. */
  get audience(): Audience {
    return this.#changes.at(-1)?.audience ?? this.#audience
  }

  get #spared(): number {
    return this.#changes.at(-1)?.sparedFrom ?? this.#sparedFrom
  }

  /** Events it has yet to read. */
  get lag(): number {
    let lag = this.#total(this.audience, this.#spared) - this.#had
    for (const { until, since } of this.#changes) lag += until - since
    return lag
  }

  /** Events by which it has fallen further behind than `queueDepth` since its client ceased to read. */
  get overdue(): number {
    if (this.#mark === undefined) return 0
    return Math.max(0, this.lag - this.#backlog - this.#context.queueDepth)
  }

  /** An event has been appended that leaves its client out. */
  spare(entry: LogEntry): void {
    if (this.#audience.hears(entry)) this.#sparedFrom++
    for (const change of this.#changes) if (change.audience.hears(entry)) change.sparedFrom++
  }

  /** Reads on, to `limit` at most; nothing when there is nothing up to there. */
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

  /** Nobody reads through it for a while: from now on it counts how far it falls behind. */
  pause(): void {
    if (this.#mark !== undefined) return
    this.#mark = this.#context.log.head
    this.#backlog = this.lag
  }

  /**
   * Gives up what is too old to be read: past `queueDepth`, or evicted from the log.
   *
   * @returns how many of its events are lost by that
   */
  giveUp(): number {
    this.#skipEvicted()
    if (this.overdue > 0) this.#skip(this.lag - this.#context.queueDepth)
    const missed = this.#missed
    this.#missed = 0
    return missed
  }

  /** Goes on from the head, whatever lies between. */
  jump(): void {
    this.#turn(Number.POSITIVE_INFINITY)
    this.#mark = undefined
    this.#seq = this.#context.log.head
    this.#backlog = 0
    this.#missed = 0
    this.#had = this.#heardBy(this.#audience, this.#sparedFrom, this.#seq)
  }

  /** After `from` it reads another audience's events; what came before is read as it was. */
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

  /** It no longer hears a topic, not even what it has yet to read of it. */
  unsubscribe(pattern: string): void {
    this.#skipEvicted()
    this.#audience = this.#without(pattern, this.#audience)
    const changes = this.#changes
    this.#changes = NONE
    for (const change of changes) {
      change.audience = this.#without(pattern, change.audience)
      // One that no longer makes a difference is none.
      if (change.audience === this.audience) this.#context.audiences.release(change.audience)
      else this.#changes = [...this.#changes, change]
    }
    this.#recount()
  }

  /** It is of no more use. */
  release(): void {
    for (const { audience } of this.#changes) this.#context.audiences.release(audience)
    this.#context.audiences.release(this.#audience)
    this.#changes = NONE
  }

  /** Events that an audience has ever heard, without so many that the client was spared. */
  #total(audience: Audience, spared: number): number {
    const common = audience.hearsCommon ? this.#context.log.untopicalCount : 0
    return audience.heard + common - spared
  }

  /** Those up to a place, after which the log holds all. */
  #heardBy(audience: Audience, spared: number, seq: number): number {
    return this.#total(audience, spared) - this.#context.reader.count(audience, seq, this.#clientId)
  }

  #without(pattern: string, audience: Audience): Audience {
    const { audiences } = this.#context
    const left = audience.patterns.filter((held) => held !== pattern)
    const without = audiences.hold(left, audience.hearsCommon)
    audiences.release(audience)
    return without
  }

  /** Its audiences are others: counts what is ahead of it from the log. */
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

  /** Makes the changes that it has come to. */
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

  /** Leaves out so many of the next events. */
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

  /** @returns what the client gets of the chunk */
  #move(chunk: EventChunk | undefined, otherwise: number): EventChunk | undefined {
    const own = chunk?.for(this.#clientId)
    const events = own?.entries.length ?? 0
    this.#seq = chunk?.to ?? otherwise
    this.#had += events
    this.#backlog = Math.max(0, this.#backlog - events)
    return own
  }
}
