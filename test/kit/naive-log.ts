// A naive log that says what clients are entitled to.

export interface Bounds {
  events: number
  bytes: number
  queueDepth: number
  overflow: 'drop-oldest' | 'disconnect'
  shards: number
}

export interface SentEvent {
  size: number
  name: string | undefined
  ownId: boolean
}

export type Verdict = 'within reach' | 'expired' | 'unknown'

/** What clients are entitled to, as one would write it without a thought for speed. */
export class NaiveLog {
  /** Every event ever broadcast; the one of number n at n - 1. */
  readonly all: { id: string; event: string | undefined; data: string; bytes: number }[] = []
  /** Number of the oldest that is still held. */
  oldest = 1
  readonly epoch: string
  readonly #bounds: Bounds

  constructor(epoch: string, bounds: Bounds) {
    this.epoch = epoch
    this.#bounds = bounds
  }

  get head(): number {
    return this.all.length
  }

  get size(): number {
    return this.head - this.oldest + 1
  }

  get bytes(): number {
    return this.all.slice(this.oldest - 1).reduce((sum, { bytes }) => sum + bytes, 0)
  }

  append(id: string, event: string | undefined, data: string): void {
    const bytes = Buffer.byteLength(
      `: text\nid: ${id}\n${event === undefined ? '' : `event: ${event}\n`}data: ${data}\n\n`
    )
    this.all.push({ id, event, data, bytes })
    const { events, bytes: maxBytes, queueDepth } = this.#bounds
    const tooMuch = () => this.size > Math.max(events, queueDepth) || this.bytes > maxBytes
    while (this.size > 1 && tooMuch()) this.oldest++
  }

  /** The number of the event that has this id, or had it. */
  numberOf(id: string): number {
    const own = this.all.findIndex((event) => event.id === id)
    return own === -1 ? Number(id.slice(this.epoch.length + 1)) : own + 1
  }

  /** What becomes of a client that comes back with this id. */
  judge(id: string): Verdict {
    const number = this.numberOf(id)
    if (!id.startsWith(this.epoch) && number < this.oldest) return 'unknown'
    return number < this.oldest - 1 || this.head - number > this.#bounds.events ? 'expired' : 'within reach'
  }
}
