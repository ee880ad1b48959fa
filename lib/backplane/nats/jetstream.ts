/**
 * A backplane that keeps the log in a stream of NATS JetStream.
 *
 * @module pylon-sse/jetstream
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { StreamInfo } from '@nats-io/jetstream'
import { BackplaneUnavailableError } from '../../api/errors.js'
import type {
  Backplane,
  BackplaneEntry,
  BackplaneLimits,
  BackplaneListener,
  HistoryBounds,
  Joined,
  Parcel
} from '../backplane.js'
import { Echoes } from '../echoes.js'
import { refused, unavailable } from '../engine-errors.js'
import { resolveLimits } from '../limits.js'
import { spread } from '../spread.js'
import { within } from '../within.js'
import { TooLargeError } from './batch-codec.js'
import { isAbsence, isRefusal, reasonOf } from './errors.js'
import type { NatsFeed, StreamMessage } from './feed.js'
import { ANSWER_TIMEOUT, type Linked, NatsLink } from './link.js'
import { entriesOf, epochOf, type Loaded, lastNanos, NatsStream } from './nats-stream.js'
import { checkOptions, type JetStreamOptions } from './options.js'
import { compareStreamCursors } from './stream-cursor.js'

export type { Backplane, BackplaneLimits } from '../backplane.js'
export type { JetStreamOptions } from './options.js'

const NAME = 'nats'
/** Between two attempts to go on, ms: the first, and the longest. */
const MIN_PAUSE = 50
const MAX_PAUSE = 1000
/** How long a message may take from its acknowledgement until it is read, ms, before the stream is asked what it is. */
const ECHO_TIMEOUT = 250
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
  readonly #echoes = new Echoes()
  readonly #closing = new AbortController()
  #bounds!: HistoryBounds
  #listener!: BackplaneListener
  #isJoined = false
  #isConnected = true
  /** Names the stream that is read, in this life of it. */
  #epoch = ''
  /** The message that is to come next. */
  #next = 0
  /** When the server got the message before that, ns since 1970. */
  #nanos = ''
  /** Whether the message before the next has yet to be seen again, after the connection was lost. */
  #isUnsure = false
  /** Whether the message before the next is another than was read, or missing. */
  #isLost = false
  /** When the loss was found that the stream does not tell of yet, ms on the clock of `performance.now()`. */
  #lossFoundAt: number | undefined
  #feed: NatsFeed | undefined
  /** Resolves when it is known which stream the connection leads to. */
  #following: Promise<void> = Promise.resolve()
  #setFollowing: (() => void) | undefined
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
      const loaded = await this.#load(linked, bounds, listener)
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
      // A server that comes back may have another stream, whose name is in the cursors.
      await within(ANSWER_TIMEOUT, this.#following)
      const [epoch, next] = [this.#epoch, this.#next]
      const echo = this.#echoes.expect(batch.at(-1)!.messageId)
      try {
        const published = await this.#stream.append(linked, batch, epoch)
        const cursors = published.map(({ cursor }) => cursor)
        const isOlder = published.some(({ seq, isNew }) => isNew && seq < next)
        // An acknowledgement does not tell of which life of the stream it is: the message does, where it is read.
        const isRead = !isOlder && (await echo.cursor(ECHO_TIMEOUT)) === cursors.at(-1)
        if (isOlder || (!isRead && epochOf(await this.#stream.inform(linked)) !== epoch)) {
          const error = new Error('the stream has been replaced')
          this.#feed?.end(error)
          throw error
        }
        return cursors
      } finally {
        echo.forget()
      }
    } catch (error) {
      // The stream may have been deleted: whoever reads it finds out, and creates it.
      if (isAbsence(error)) this.#feed?.end(error as Error)
      if (!isFinal(error)) throw this.#unavailable(error)
      throw refused(NAME, reasonOf(error), error as Error)
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

  /** Each answer has its time, and all of them together as long as they take. */
  async #load(linked: Linked, bounds: HistoryBounds, listener: BackplaneListener): Promise<Loaded> {
    const info = await this.#stream.inform(linked)
    await spread(Math.min(info.state.bytes, bounds.bytes))
    return this.#stream.load(linked, info, bounds, (cursor, reason) => listener.onForeign(cursor, reason))
  }

  #goOnFrom({ epoch, next, nanos }: Loaded): void {
    this.#epoch = epoch
    this.#next = next
    this.#nanos = nanos
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
    const info = await this.#stream.inform(linked)
    let continuity = this.#isLost ? 'lost' : this.#continuityIn(info)
    // Where nothing has come since, what the stream says of its newest message is enough.
    this.#isUnsure = continuity === 'whole' && this.#next > 1 && info.state.last_seq >= this.#next
    // What would prove it has just gone, as the oldest.
    /* c8 ignore next: by a message */
    if (this.#isUnsure && info.state.first_seq === this.#next) continuity = 'trimmed'
    if (continuity !== 'whole') {
      if (continuity === 'lost') await this.#report(linked, epochOf(info))
      const loaded = await this.#load(linked, this.#bounds, this.#listener)
      /* c8 ignore next: closed amid a gap */
      if (signal.aborted) return
      this.#isLost = false
      this.#isUnsure = false
      this.#lossFoundAt = undefined
      this.#goOnFrom(loaded)
      this.#listener.onGap(loaded)
    }
    /* c8 ignore next: closed while it looks for a gap */
    if (signal.aborted) return
    this.#held = undefined
    const feed = this.#stream.feed(linked, (message) => this.#receive(linked, message))
    this.#feed = feed
    await feed.begin(this.#isUnsure ? this.#next - 1 : this.#next)
    this.#setFollowing?.()
    this.#setFollowing = undefined
    if (signal.aborted) {
      await feed.close()
      return
    }
    this.#tell(true)
    await feed.ended
    void feed.close()
  }

  /** How the stream stands to what was read of it, as far as what it says of itself tells. */
  #continuityIn(info: StreamInfo): 'whole' | 'trimmed' | 'lost' {
    const { first_seq: oldest, last_seq: newest, messages } = info.state
    if (epochOf(info) !== this.#epoch || newest < this.#next - 1) return 'lost'
    // Another message of the same number was got at another time. An empty stream may have forgotten when.
    if (messages > 0 && newest === this.#next - 1 && lastNanos(info) !== this.#nanos) return 'lost'
    return oldest > this.#next ? 'trimmed' : 'whole'
  }

  /** Has the stream tell of the loss. Where it cannot, this process goes on without. */
  async #report(linked: Linked, epoch: string): Promise<void> {
    this.#lossFoundAt ??= performance.now()
    try {
      await this.#stream.append(linked, [this.#listener.onLoss()], epoch)
    } catch (error) {
      /* c8 ignore next: the connection is lost once more */
      if (!isFinal(error) && performance.now() - this.#lossFoundAt <= this.limits.publishTimeout) throw error
    }
  }

  #receive(linked: Linked, message: StreamMessage): void {
    if (this.#held !== undefined) {
      this.#held.push(message)
      return
    }
    if (this.#isUnsure) {
      // The first that comes must be the last that was read: a log grows at its end, so that this proves what is before.
      this.#isUnsure = false
      if (message.seq !== this.#next - 1 || message.nanos !== this.#nanos) {
        this.#isLost = true
        this.#feed?.end(new Error('the stream has lost messages'))
        return
      }
    }
    if (message.seq < this.#next) return
    if (message.seq > this.#next) {
      this.#held = [message]
      void this.#makeSure(linked, this.#held)
      return
    }
    this.#next = message.seq + 1
    this.#nanos = message.nanos
    if (this.#fresh.length === 0) queueMicrotask(() => this.#pass())
    const onForeign = (cursor: string, reason: string) => this.#listener.onForeign(cursor, reason)
    const entries = entriesOf(message, this.#epoch, onForeign)
    for (const entry of entries) this.#fresh.push(entry)
    const last = entries.at(-1)
    if (last !== undefined) this.#echoes.hear(last.messageId, last.cursor)
  }

  /** Messages are left out. That is a gap where they went as the oldest, and none where somebody deleted them one by one. */
  async #makeSure(linked: Linked, held: StreamMessage[]): Promise<void> {
    const info = await this.#stream.inform(linked).catch(() => undefined)
    const isGap = info === undefined || this.#continuityIn(info) !== 'whole'
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
    if (isUp) {
      this.#nap.abort()
      return
    }
    this.#feed?.end(new Error('the connection is lost'))
    /* c8 ignore next: lost again before it was known */
    if (this.#setFollowing !== undefined) return
    this.#following = new Promise((resolve) => {
      this.#setFollowing = resolve
    })
  }

  #tell(isConnected: boolean, error?: Error): void {
    if (isConnected === this.#isConnected) return
    this.#isConnected = isConnected
    this.#listener.onState(isConnected, error)
  }

  #unavailable(cause: unknown): Error {
    /* c8 ignore next: which of several waits fails first is a matter of time */
    if (cause instanceof BackplaneUnavailableError) return cause
    return unavailable(`${NAME} at ${this.#link.address}`, reasonOf(cause), cause as Error)
  }
}

/** Whether the stream will not have a message, however often it is asked. */
function isFinal(error: unknown): boolean {
  return error instanceof TooLargeError || isRefusal(error)
}
