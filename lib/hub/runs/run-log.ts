// The events of one run, in a log of their own. What produces them is in runner.ts and work.ts.

import { type Audience, Audiences } from '../../log/audience.js'
import { EventLog, type Position } from '../../log/event-log.js'
import { LogReader } from '../../log/log-reader.js'

/** Names of the last event of a run. */
export const DONE = 'done'
export const FAILED = 'failed'

/** Size of a slab of a run's log, bytes. Small, since most runs are short. */
const SLAB_BYTES = 4096
/** Number of run logs created on this process. */
let made = 0

/** Limits of what is held of a run. */
export interface RunBounds {
  readonly maxEvents: number
  readonly maxBytes: number
}

/** The events of one run, in a log of their own, as this process has them. */
export class RunLog {
  readonly topic: string
  /** Its id. Those of its events are `<id>-<number>`. */
  readonly id: string
  readonly log: EventLog
  /** Only the size of the log limits how far a listener may fall behind. */
  readonly queueDepth: number
  /** Numbered by run, so that the listeners of many runs are spread over the shards. */
  readonly audiences = new Audiences(made++)
  readonly reader: LogReader
  /** Its listeners. */
  readonly audience: Audience
  /** Whether it has its last event. */
  ended = false

  /** @param first number of its first event on this process, which may have joined late */
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

  /** Whether it has listeners on this process. */
  get isHeard(): boolean {
    return this.audience.cohortCount > 0
  }

  /** Whether its listeners have been offered all its events. */
  get isOffered(): boolean {
    return this.audience.pending.length === 0
  }

  /** Maximum number of bytes by which an event with this body makes it grow. */
  growthBy(body: string): number {
    return this.log.sizeOf(Buffer.byteLength(body), { topic: this.topic, isText: true })
  }

  /** @param id the event's id. Default: its number in the run. @returns the event's id */
  append(body: string, isText: boolean, isLast: boolean, id?: string): string {
    const entry = this.log.append(body, { topic: this.topic, isText, id })
    if (isLast) this.ended = true
    this.audience.hear(entry)
    return entry.id
  }

  /** Returns where a client starts if it sends this last event id, or none; undefined if it has received everything. */
  positionOf(id: string | undefined): Position | undefined {
    const { log } = this
    const position = log.positionOf(id ?? `${this.id}-0`)
    if ('seq' in position) return this.ended && position.seq === log.head ? undefined : position
    // It gets what is still held, whatever it has lost.
    const at = log.oldestCursor
    return position.missed === null
      ? { ...position, at }
      : { ...position, missed: position.missed - (log.head - at), at }
  }
}
