import { setTimeout as sleep } from 'node:timers/promises'
import { BackplaneRefusedError, BackplaneUnavailableError } from '../errors.js'
import type {
  Backplane,
  BackplaneEntry,
  BackplaneLimits,
  BackplaneListener,
  HistoryBounds,
  Joined,
  Parcel
} from './backplane.js'
import { TooLargeError } from './batch-codec.js'
import { checkOptions, type JetStreamOptions } from './jetstream-options.js'
import { resolveLimits } from './limits.js'
import { isAbsence, isRefusal, reasonOf } from './nats-errors.js'
import type { NatsFeed, StreamMessage } from './nats-feed.js'
import { type Linked, NatsLink } from './nats-link.js'
import { entriesOf, epochOf, type Loaded, NatsStream } from './nats-stream.js'
import { compareStreamCursors } from './stream-cursor.js'
import { within } from './within.js'

export type { Backplane, BackplaneLimits } from './backplane.js'
export type { JetStreamOptions } from './jetstream-options.js'

const NAME = 'nats'
/** Between two attempts to go on, ms: the first, and the longest. */
const MIN_PAUSE = 50
const MAX_PAUSE = 1000
/** How long the history may take to be read, ms. */
const LOAD_TIMEOUT = 10_000
/** How long the server has to hear that this process reads no more, ms. */
const END_TIMEOUT = 500

/** A backplane over NATS JetStream, nats-server 2.9 or later. @throws InvalidOptionError */
export function jetStream(options: JetStreamOptions): Backplane {
  return new JetStream(options)
}

class JetStream implements Backplane {
  readonly name = NAME
  readonly limits: BackplaneLimits
  readonly #link: NatsLink
  readonly #stream: NatsStream
  readonly #closing = new AbortController()
  #bounds!: HistoryBounds
  #listener!: BackplaneListener
  #isJoined = false
  #isConnected = true
  /** Names the stream that is read, in this life of it. */
  #epoch = ''
  /** The message that is to come next. */
  #next = 0
  #feed: NatsFeed | undefined
  #nap = new AbortController()
  /** Entries that came in this turn. */
  #fresh: BackplaneEntry[] = []
  /** Messages that wait until it is known what became of those before them. */
  #held: StreamMessage[] | undefined

  constructor(options: JetStreamOptions) {
    const { connection, stream, subject, maxMessages, maxBytes, replicas, connecting, limits } = checkOptions(options)
    this.limits = resolveLimits(limits)
    this.#stream = new NatsStream({ stream, subject, maxMessages, maxBytes, replicas })
    this.#link = new NatsLink(connection, connecting, (isUp) => this.#onLink(isUp))
  }

  async join(bounds: HistoryBounds, listener: BackplaneListener): Promise<Joined> {
    if (this.#isJoined)
      throw this.#unavailable(new Error('it has been joined already; each plugin needs one of its own'))
    try {
      const linked = await this.#link.open()
      const loaded = await this.#load(linked, bounds)
      /* c8 ignore next: closed while it joins */
      if (this.#closing.signal.aborted) throw new Error('it is closed')
      this.#bounds = bounds
      this.#listener = listener
      this.#isJoined = true
      this.#goOnFrom(loaded)
      void this.#run()
      return loaded
    } catch (error) {
      const unavailable = this.#unavailable(error)
      await this.#link.drop()
      throw unavailable
    }
  }

  async publish(batch: readonly Parcel[]): Promise<readonly string[]> {
    try {
      const linked = await this.#link.open()
      const [epoch, next] = [this.#epoch, this.#next]
      const published = await this.#stream.append(linked, batch, epoch)
      if (published.some(({ seq, isNew }) => isNew && seq < next)) {
        const error = new Error('the stream has been replaced')
        this.#feed?.end(error)
        throw error
      }
      return published.map(({ cursor }) => cursor)
    } catch (error) {
      // The stream may have been deleted: whoever reads it finds out, and creates it.
      if (isAbsence(error)) this.#feed?.end(error as Error)
      if (!(error instanceof TooLargeError) && !isRefusal(error)) throw this.#unavailable(error)
      const refusal = new BackplaneRefusedError(NAME, reasonOf(error))
      refusal.cause = error
      throw refusal
    }
  }

  compare(a: string, b: string): number | undefined {
    return compareStreamCursors(a, b, this.#epoch)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#nap.abort()
    if (this.#feed) await within(END_TIMEOUT, this.#feed.close()).catch(() => {})
    await this.#link.close()
  }

  async #load(linked: Linked, bounds: HistoryBounds): Promise<Loaded> {
    return within(
      LOAD_TIMEOUT,
      this.#stream.inform(linked).then((info) => this.#stream.load(linked, info, bounds))
    )
  }

  #goOnFrom({ epoch, next }: Loaded): void {
    this.#epoch = epoch
    this.#next = next
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    let pause = MIN_PAUSE
    while (!signal.aborted) {
      try {
        await this.#follow(await this.#link.open())
        pause = MIN_PAUSE
      } catch (error) {
        /* c8 ignore next: closed amid a gap */
        if (signal.aborted) return
        this.#tell(false, this.#unavailable(error))
        pause = Math.min(pause * 2, MAX_PAUSE)
      }
      await sleep(pause, undefined, { ref: false, signal: this.#nap.signal }).catch(() => {})
      if (!signal.aborted) this.#nap = new AbortController()
    }
  }

  /** Reads on until something is wrong. Rejects where it cannot. */
  async #follow(linked: Linked): Promise<void> {
    const { signal } = this.#closing
    if (await this.#hasGap(linked)) {
      const loaded = await this.#load(linked, this.#bounds)
      /* c8 ignore next: closed amid a gap */
      if (signal.aborted) return
      this.#goOnFrom(loaded)
      this.#listener.onGap(loaded)
    }
    /* c8 ignore next: closed while it looks for a gap */
    if (signal.aborted) return
    this.#held = undefined
    const feed = this.#stream.feed(linked, (message) => this.#receive(linked, message))
    this.#feed = feed
    await feed.begin(this.#next)
    if (signal.aborted) {
      await feed.close()
      return
    }
    this.#tell(true)
    await feed.ended
    void feed.close()
  }

  /** Whether the stream is another, or what was to come next has left it. */
  async #hasGap(linked: Linked): Promise<boolean> {
    const info = await this.#stream.inform(linked)
    const { first_seq: oldest, last_seq: newest } = info.state
    return epochOf(info) !== this.#epoch || oldest > this.#next || newest < this.#next - 1
  }

  #receive(linked: Linked, message: StreamMessage): void {
    if (this.#held !== undefined) {
      this.#held.push(message)
      return
    }
    /* c8 ignore next: a server that repeats what it has delivered, after it was unreachable */
    if (message.seq < this.#next) return
    if (message.seq > this.#next) {
      this.#held = [message]
      void this.#makeSure(linked, this.#held)
      return
    }
    this.#next = message.seq + 1
    if (this.#fresh.length === 0) queueMicrotask(() => this.#pass())
    this.#fresh.push(...entriesOf(message, this.#epoch))
  }

  /** Messages are left out. That is a gap where they went as the oldest, and none where somebody deleted them one by one. */
  async #makeSure(linked: Linked, held: StreamMessage[]): Promise<void> {
    const isGap = await this.#hasGap(linked).catch(() => true)
    /* c8 ignore next: begun anew meanwhile, by a connection that was lost */
    if (this.#held !== held) return
    if (isGap) {
      this.#feed?.end(new Error('messages are lost'))
      return
    }
    this.#held = undefined
    for (const [i, message] of held.entries()) {
      if (i === 0) this.#next = message.seq
      this.#receive(linked, message)
    }
  }

  #pass(): void {
    const fresh = this.#fresh
    this.#fresh = []
    if (fresh.length > 0 && !this.#closing.signal.aborted) this.#listener.onEntries(fresh)
  }

  #onLink(isUp: boolean): void {
    if (isUp) this.#nap.abort()
    else this.#feed?.end(new Error('the connection is lost'))
  }

  #tell(isConnected: boolean, error?: Error): void {
    if (isConnected === this.#isConnected) return
    this.#isConnected = isConnected
    this.#listener.onState(isConnected, error)
  }

  #unavailable(cause: unknown): Error {
    /* c8 ignore next: which of several waits fails first is a matter of time */
    if (cause instanceof BackplaneUnavailableError) return cause
    const unavailable = new BackplaneUnavailableError(`${NAME} at ${this.#link.address}`, reasonOf(cause))
    unavailable.cause = cause
    return unavailable
  }
}
