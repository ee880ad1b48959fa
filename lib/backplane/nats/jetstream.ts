/**
 * A backplane that keeps the log in a stream of NATS JetStream.
 *
 * @module pylon-sse/jetstream
 */
import { BackplaneUnavailableError } from '../../api/errors.js'
import { Backoff, pauseBeforeLoading } from '../backoff.js'
import type { Backplane, BackplaneLimits, BackplaneListener, HistoryBounds, Joined, Parcel } from '../backplane.js'
import { Echoes } from '../echoes.js'
import { refused, unavailable } from '../engine-errors.js'
import { resolveLimits } from '../limits.js'
import { type Load, Membership } from '../membership.js'
import { within } from '../within.js'
import { TooLargeError } from './batch-codec.js'
import { isAbsence, isRefusal, reasonOf } from './errors.js'
import { ANSWER_TIMEOUT, type Linked, NatsLink } from './link.js'
import { type Loaded, NatsStream } from './nats-stream.js'
import { checkOptions, type JetStreamOptions } from './options.js'
import { compareStreamCursors, epochOf } from './stream-cursor.js'
import { StreamPosition } from './stream-position.js'
import { StreamReader } from './stream-reader.js'

export type { Backplane, BackplaneLimits } from '../backplane.js'
export type { JetStreamOptions } from './options.js'

const NAME = 'nats'
/** The first and the longest pause between two attempts to read on, ms. */
const MIN_PAUSE = 50
const MAX_PAUSE = 1000
/** Time from the acknowledgement of a message until it must have been read, ms. After that, the stream is asked whether it is another. */
const ECHO_TIMEOUT = 250
/** Time to tell the server that this process reads no more, ms. */
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
  readonly #membership: Membership
  readonly #position = new StreamPosition()
  readonly #reader: StreamReader
  /** Resolves once it is known which stream the connection leads to. */
  #following: Promise<void> = Promise.resolve()
  #setFollowing: (() => void) | undefined
  /** Aborts when a connection is made, which ends the pause before the next attempt. */
  #nap = new AbortController()

  constructor(options: JetStreamOptions) {
    const { connection, stream, subject, maxMessages, maxBytes, replicas, connecting, limits } = checkOptions(options)
    this.limits = resolveLimits(limits)
    this.#membership = new Membership(this.limits.publishTimeout, (error) => this.#unavailable(error))
    this.#stream = new NatsStream({ stream, subject, maxMessages, maxBytes, replicas })
    this.#reader = new StreamReader(this.#stream, this.#position, {
      onEntries: (entries) => {
        if (!this.#membership.isClosed) this.#membership.listener.onEntries(entries)
      },
      onForeign: this.#membership.onForeign,
      onRead: ({ messageId, cursor }) => this.#echoes.hear(messageId, cursor)
    })
    this.#link = new NatsLink(connection, connecting, (isUp) => this.#onLink(isUp))
  }

  async join(bounds: HistoryBounds, listener: BackplaneListener): Promise<Joined> {
    this.#membership.refuseSecondJoin()
    try {
      const linked = await this.#link.open()
      const loaded = await this.#membership.join(bounds, listener, this.#loadBy(linked))
      this.#position.goOnFrom(loaded)
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
      const { epoch, next } = this.#position
      const echo = this.#echoes.expect(batch.at(-1)!.messageId)
      try {
        const published = await this.#stream.append(linked, batch, epoch)
        const cursors = published.map(({ cursor }) => cursor)
        const isOlder = published.some(({ seq, isNew }) => isNew && seq < next)
        // An acknowledgement does not say which stream it is from, the old or a new one. The message does, once it is read.
        const isRead = !isOlder && (await echo.cursor(ECHO_TIMEOUT)) === cursors.at(-1)
        if (isOlder || (!isRead && epochOf(await this.#stream.inform(linked)) !== epoch)) {
          const error = new Error('the stream has been replaced')
          this.#reader.end(error)
          throw error
        }
        return cursors
      } finally {
        echo.forget()
      }
    } catch (error) {
      // The stream may have been deleted. `#run` finds that out, and creates it again.
      if (isAbsence(error)) this.#reader.end(error as Error)
      if (!isFinal(error)) throw this.#unavailable(error)
      throw refused(NAME, reasonOf(error), error as Error)
    }
  }

  compare(a: string, b: string): number | undefined {
    return compareStreamCursors(a, b, this.#position.epoch)
  }

  async close(): Promise<void> {
    this.#membership.close()
    this.#nap.abort()
    await within(END_TIMEOUT, this.#reader.close()).catch(() => {})
    await this.#link.close()
  }

  /** Each answer of the server has a time limit. Loading as a whole has none. */
  #loadBy(linked: Linked): Load<Loaded> {
    return async (bounds, onForeign) => {
      const info = await this.#stream.inform(linked)
      await pauseBeforeLoading(Math.min(info.state.bytes, bounds.bytes))
      return this.#stream.load(linked, info, bounds, onForeign)
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#membership
    const backoff = new Backoff(MIN_PAUSE, MAX_PAUSE)
    while (!signal.aborted) {
      try {
        await this.#follow(await this.#link.open())
        backoff.reset()
      } catch (error) {
        /* c8 ignore next: closed amid a gap */
        if (signal.aborted) return
        this.#membership.tell(false, error)
      }
      await backoff.wait(this.#nap.signal)
      if (!signal.aborted) this.#nap = new AbortController()
    }
  }

  /** Reads on until something fails. Rejects if it cannot begin. */
  async #follow(linked: Linked): Promise<void> {
    const { signal } = this.#membership
    const info = await this.#stream.inform(linked)
    const continuity = this.#position.resume(info)
    if (continuity !== 'whole') {
      await this.#membership.restart(continuity, {
        append: (report) => this.#stream.append(linked, [report], epochOf(info)),
        isFinal,
        load: this.#loadBy(linked),
        goOnFrom: (loaded) => this.#position.goOnFrom(loaded)
      })
    }
    /* c8 ignore next: closed while it looks for a gap */
    if (signal.aborted) return
    const feed = await this.#reader.begin(linked)
    this.#setFollowing?.()
    this.#setFollowing = undefined
    if (signal.aborted) {
      await feed.close()
      return
    }
    this.#membership.tell(true)
    await feed.ended
    void feed.close()
  }

  #onLink(isUp: boolean): void {
    if (isUp) {
      this.#nap.abort()
      return
    }
    this.#reader.end(new Error('the connection is lost'))
    /* c8 ignore next: lost again before it was known */
    if (this.#setFollowing !== undefined) return
    this.#following = new Promise((resolve) => {
      this.#setFollowing = resolve
    })
  }

  #unavailable(cause: unknown): Error {
    /* c8 ignore next: which of several waits fails first is a matter of time */
    if (cause instanceof BackplaneUnavailableError) return cause
    return unavailable(`${NAME} at ${this.#link.address}`, reasonOf(cause), cause as Error)
  }
}

/** Whether the stream will refuse a message however often it is sent. */
function isFinal(error: unknown): boolean {
  return error instanceof TooLargeError || isRefusal(error)
}
