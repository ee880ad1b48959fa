/** What can be said of an event beside its body. */
export interface Labels {
  /** The id the user gave, which the log neither `has` nor `isReserved`; it gives `<epoch>-<seq>` otherwise. */
  readonly id?: string | undefined
  /** Who hears it: the subscribers of its topic; everyone, where it has none. */
  readonly topic?: string | undefined
  /** The id of a client that does not hear it all the same. */
  readonly except?: string | undefined
  /** Whether its data was given as text, which is not to be read as JSON. */
  readonly isText?: boolean | undefined
}

/** Bytes after what a chunk of HTTP/1.1 holds: CRLF. */
export const CHUNK_TAIL_BYTES = 2

/** Where an event is: in the log, and in memory. */
export type EntryPlace = Pick<LogEntry, 'end' | 'slab' | 'start' | 'stop' | 'cursor'>

/** The name of an event that has none of its own. */
export function nameOf(epoch: string, seq: number): string {
  return `${epoch}-${seq}`
}

/** An event as the log holds it: in a slab, as a chunk of HTTP/1.1's chunked coding (RFC 9112 7.1). */
export class LogEntry {
  /** Its place in the log: 1 for the first event of this life, one more for each. */
  readonly seq: number
  readonly #epoch: string
  readonly #ownId: string | undefined
  readonly topic: string | undefined
  readonly except: string | undefined
  readonly isText: boolean
  /** Bytes of the encoded event, id line included. */
  readonly size: number
  /** Bytes appended to the log up to and with this event, so that a distance in bytes is a subtraction. */
  readonly end: number
  /** Where its chunk is. */
  readonly slab: Buffer
  readonly start: number
  readonly stop: number
  /** When it was appended, in tenths of a second on the clock of `performance.now()`: whole numbers take no memory of their own. */
  readonly at = Math.floor(performance.now() / 100)
  /** The name of its place, where an engine names the places. */
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

  /** Made when it is asked for: kept, the ids of a whole log would be most of what the garbage collector has to copy. */
  get id(): string {
    return this.#ownId ?? this.cursor ?? nameOf(this.#epoch, this.seq)
  }

  /** The encoded event, id line included. */
  get frame(): Buffer {
    const stop = this.stop - CHUNK_TAIL_BYTES
    return this.slab.subarray(stop - this.size, stop)
  }
}
