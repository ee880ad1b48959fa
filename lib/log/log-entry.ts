// One event of the log. Its bytes are in a slab (slab.ts).

/** Attributes of an event besides its body. */
export interface Labels {
  /**
   * The id given by the app, which the log must neither hold (`has`) nor reserve (`isReserved`). Default:
   * `<epoch>-<seq>`, assigned by the log.
   */
  readonly id?: string | undefined
  /** Only subscribers of this topic receive the event. Default: none, everyone receives it. */
  readonly topic?: string | undefined
  /** The id of a client that does not receive the event. */
  readonly except?: string | undefined
  /** Whether its data was given as text, which must not be parsed as JSON. */
  readonly isText?: boolean | undefined
}

/** Bytes after the data of an HTTP/1.1 chunk: CRLF. */
export const CHUNK_TAIL_BYTES = 2

/** Where an event is, in the log and in memory. */
export type EntryPlace = Pick<LogEntry, 'end' | 'slab' | 'start' | 'stop' | 'cursor'>

/** The id of an event that the app has given none. */
export function defaultId(epoch: string, seq: number): string {
  return `${epoch}-${seq}`
}

/**
 * An event in the log. Its bytes are in a slab, as one chunk of the chunked transfer coding (RFC 9112, 7.1). Hot, hence its many
 * fields: one is made for each event, and several objects for an event would be more for the garbage collector to copy.
 */
export class LogEntry {
  /** Its number in the log: 1 for the first event, one more for each. */
  readonly seq: number
  readonly #epoch: string
  readonly #ownId: string | undefined
  readonly topic: string | undefined
  readonly except: string | undefined
  readonly isText: boolean
  /** Size of the encoded event, id line included, bytes. */
  readonly size: number
  /** Bytes appended to the log up to and including this event. The difference of two is a distance in bytes. */
  readonly end: number
  /** The slab, and where the event's chunk starts and stops in it. */
  readonly slab: Buffer
  readonly start: number
  readonly stop: number
  /**
   * When it was appended, in tenths of a second of `performance.now()`. Small integers take no memory of their own in
   * V8.
   */
  readonly at = Math.floor(performance.now() / 100)
  /** Its cursor, if an engine assigns cursors. */
  readonly cursor: string | undefined

  constructor(seq: number, epoch: string, labels: Labels, size: number, place: EntryPlace) {
    const { id, topic, except, isText = false } = labels
    this.seq = seq
    this.#epoch = epoch
    this.#ownId = id
    this.topic = topic
    this.except = except
    this.isText = isText
    this.size = size
    this.end = place.end
    this.slab = place.slab
    this.start = place.start
    this.stop = place.stop
    this.cursor = place.cursor
  }

  /** Built on demand: the stored ids of a whole log would be most of what the garbage collector has to copy. */
  get id(): string {
    return this.#ownId ?? this.cursor ?? defaultId(this.#epoch, this.seq)
  }

  /** The encoded event, id line included. */
  get frame(): Buffer {
    const stop = this.stop - CHUNK_TAIL_BYTES
    return this.slab.subarray(stop - this.size, stop)
  }
}
