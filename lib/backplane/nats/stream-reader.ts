// Reads the stream on from a position: puts its messages in order, notices missing ones, and passes their entries on. What
// happens after a gap is in jetstream.ts.

import type { BackplaneEntry, BackplaneListener } from '../backplane.js'
import type { NatsFeed, StreamMessage } from './feed.js'
import type { Linked } from './link.js'
import { entriesOf, type NatsStream } from './nats-stream.js'
import type { StreamPosition } from './stream-position.js'

/** Receives what is read. */
export interface StreamReaderTarget extends Pick<BackplaneListener, 'onEntries' | 'onForeign'> {
  /** Called at once with the last entry of each message. `onEntries` follows in a microtask. */
  onRead(last: BackplaneEntry): void
}

export class StreamReader {
  readonly #stream: NatsStream
  readonly #position: StreamPosition
  readonly #target: StreamReaderTarget
  #feed: NatsFeed | undefined
  /** Entries that were read and will be passed on in a microtask. */
  #fresh: BackplaneEntry[] = []
  /** Messages that wait until it is known why those before them are missing. */
  #held: StreamMessage[] | undefined

  constructor(stream: NatsStream, position: StreamPosition, target: StreamReaderTarget) {
    this.#stream = stream
    this.#position = position
    this.#target = target
  }

  /** Starts to read at the position. @returns the feed, which ends when something is wrong */
  async begin(linked: Linked): Promise<NatsFeed> {
    this.#held = undefined
    const feed = this.#stream.feed(linked, (message) => this.#receive(linked, message))
    this.#feed = feed
    await feed.begin(this.#position.start)
    return feed
  }

  /** Stops reading, for a reason. */
  end(error: Error): void {
    this.#feed?.end(error)
  }

  /** Stops reading, and tells the server so. */
  async close(): Promise<void> {
    await this.#feed?.close()
  }

  #receive(linked: Linked, message: StreamMessage): void {
    if (this.#held !== undefined) {
      this.#held.push(message)
      return
    }
    const verdict = this.#position.judge(message)
    if (verdict === 'take') this.#read(message)
    if (verdict === 'lost') this.end(new Error('the stream has lost messages'))
    if (verdict === 'ask') {
      this.#held = [message]
      void this.#findGap(linked, this.#held)
    }
  }

  #read(message: StreamMessage): void {
    if (this.#fresh.length === 0) queueMicrotask(() => this.#pass())
    const entries = entriesOf(message, this.#position.epoch, this.#target.onForeign)
    for (const entry of entries) this.#fresh.push(entry)
    const last = entries.at(-1)
    if (last !== undefined) this.#target.onRead(last)
  }

  /** Finds out why messages are missing: it is a gap if they were dropped as the oldest, and none if they were deleted one by one. */
  async #findGap(linked: Linked, held: StreamMessage[]): Promise<void> {
    const info = await this.#stream.inform(linked).catch(() => undefined)
    const isGap = info === undefined || this.#position.continuityIn(info) !== 'whole'
    /* c8 ignore next: reading has started anew meanwhile, over another connection */
    if (this.#held !== held) return
    if (isGap) {
      this.end(new Error('messages are lost'))
      return
    }
    this.#held = undefined
    this.#position.skipTo(held[0]!)
    for (const message of held) this.#receive(linked, message)
  }

  #pass(): void {
    const fresh = this.#fresh
    this.#fresh = []
    if (fresh.length > 0) this.#target.onEntries(fresh)
  }
}
