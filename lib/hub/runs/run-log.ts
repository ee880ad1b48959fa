import { type Audience, Audiences } from '../../log/audience.js'
import { EventLog, type Position } from '../../log/event-log.js'
import { LogReader } from '../../log/log-reader.js'

/** Names that end a run. */
export const DONE = 'done'
export const FAILED = 'failed'

/** Most runs are short. */
const SLAB_BYTES = 4096
/** Runs made. */
let made = 0

/** What is held of a run at most. */
export interface RunBounds {
  readonly maxEvents: number
  readonly maxBytes: number
}

/** The events of one run, in a log of their own, as this process has them. */
export class RunLog {
  readonly topic: string
  /** Names it in the ids of its events, which are `<id>-<number>`. */
  readonly id: string
  readonly log: EventLog
  // Numbers of their own spread the listeners of many runs over the shards.
  /** Its log is the only bound of how far a listener may fall behind. */
  readonly queueDepth: number
  readonly audiences = new Audiences(made++)
  readonly reader: LogReader
  /** Its listeners. */
  readonly audience: Audience
  /** Whether its last event is there. */
  ended = false

  /** @param first number of its first event here: a process may come late */
  constructor(topic: string, id: string, { maxEvents, maxBytes }: RunBounds, first = 1) {
    this.topic = topic
    this.id = id
    this.queueDepth = maxEvents
    this.log = new EventLog({
      epoch: id,
      replay: maxEvents,
      events: maxEvents,
      bytes: maxBytes,
      first,
      slabBytes: SLAB_BYTES
    })
    this.reader = new LogReader(this.log, this.audiences.everyone)
    this.audience = this.audiences.hold([topic], false)
  }

  /** Number of its newest event. */
  get head(): number {
    return this.log.head
  }

  get bytes(): number {
    return this.log.bytes
  }

  /** Whether somebody listens on this process. */
  get isHeard(): boolean {
    return this.audience.cohortCount > 0
  }

  /** Whether its listeners have been offered all there is. */
  get isOffered(): boolean {
    return this.audience.pending.length === 0
  }

  /** Bytes by which it grows, at most, with an event of this body. */
  growthBy(body: string): number {
    return this.log.sizeOf(Buffer.byteLength(body), { topic: this.topic, isText: true })
  }

  /** @returns the event's id */
  append(body: string, isText: boolean, isLast: boolean): string {
    const entry = this.log.append(body, { topic: this.topic, isText })
    if (isLast) this.ended = true
    this.audience.hear(entry)
    return entry.id
  }

  /** Where a client begins that shows an id, or none; nothing, where it has had everything. */
  positionOf(id: string | undefined): Position | undefined {
    const { log } = this
    const position = log.positionOf(id ?? `${this.id}-0`)
    if ('seq' in position) return this.ended && position.seq === log.head ? undefined : position
    // What is still there follows, whatever is lost.
    const at = log.oldestCursor
    return position.missed === null
      ? { ...position, at }
      : { ...position, missed: position.missed - (log.head - at), at }
  }
}
