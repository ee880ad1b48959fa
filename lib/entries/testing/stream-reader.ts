// What the test client has received on a stream, and waits for what is to come. Transports feed it.

import { type Deferred, deferred } from './deferred.js'
import { BrokenStreamError, NotReceivedError, UnexpectedEventError } from './errors.js'
import { EventRecord, type WireEvent } from './event-record.js'
import { Gunzip } from './gunzip.js'
import { hint, type ShownEvent, showAnswer, showEvent, showEvents } from './summary.js'
import { Watch } from './watch.js'

/** The status and headers of a response. */
export interface Head {
  status: number
  /** In the order and letter case of the wire. A name that came twice is in it twice. */
  rawHeaders: [name: string, value: string][]
}

/** How a reader makes its events, and how long its waits may take by default, ms. */
export interface ReaderOptions<Event> {
  interpret: (event: WireEvent) => Event
  patience: number
}

/**
 * An event stream as a test sees it: what has come so far, and promises for what is to come. It does no I/O: a
 * transport calls `receiveHead`, `receive`, `finish` and `hangUp`. It decodes gzip.
 *
 * Events are taken by `next`, `take` and `until`, in order; `events` keeps them all. Every wait rejects at once if what
 * it waits for can no longer come, and after `ms` otherwise.
 */
export class StreamReader<Event extends ShownEvent> extends EventRecord<Event> {
  /** Whether the body has ended properly. False if the connection has only been lost. */
  ended = false
  isClosed = false
  /** What broke the connection, if the transport said so: often ECONNRESET. */
  error: Error | undefined
  /** Why what has come is not an event stream. Every wait from now on rejects with it. */
  failure: Error | undefined

  readonly #watch: Watch
  #closed!: Deferred<void>
  #head: Head | undefined
  #headers: Headers | undefined
  #gunzip: Gunzip | undefined
  #taken = 0
  /** Number of signals of earlier connections. */
  #signalsBefore = 0

  constructor({ interpret, patience }: ReaderOptions<Event>) {
    super(interpret)
    this.#watch = new Watch(() => this.#summary(), patience)
    this.#closed = deferred()
  }

  // -- what has come

  /** Resolves, never rejects, when the connection is gone. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  get status(): number {
    return this.#arrivedHead().status
  }

  get rawHeaders(): [name: string, value: string][] {
    return this.#arrivedHead().rawHeaders
  }

  get headers(): Headers {
    this.#headers ??= new Headers(this.rawHeaders)
    return this.#headers
  }

  // -- what is to come

  head(ms?: number): Promise<Head> {
    const isOver = () => this.isClosed
    return this.wait('the head of an answer', ms, () => this.#head, isOver)
  }

  async next(ms?: number): Promise<Event> {
    const [event] = await this.take(1, ms)
    return event!
  }

  /** The next `n` events that are not yet taken. */
  take(n: number, ms?: number): Promise<Event[]> {
    const look = () => {
      if (this.events.length - this.#taken < n) return undefined
      const from = this.#taken
      this.#taken += n
      return this.events.slice(from, this.#taken)
    }
    return this.wait(n === 1 ? 'the next event' : `the next ${n} events`, ms, look)
  }

  /** The first event that is not yet taken and for which `predicate` returns true; events before it are taken, too. */
  until(predicate: (event: Event) => boolean, ms?: number, what?: () => string): Promise<Event> {
    let looked = 0
    const look = () => {
      for (looked = Math.max(looked, this.#taken); looked < this.events.length; looked++) {
        const event = this.events[looked]!
        if (!predicate(event)) continue
        this.#taken = looked + 1
        return event
      }
      return undefined
    }
    return this.wait(what ?? `an event such that ${predicate}`, ms, look)
  }

  /** The first event with this name that is not yet taken; events before it are taken, too. */
  named(name: string, ms?: number): Promise<Event> {
    const isNamed = ({ event = 'message' }: Event) => event === name
    return this.until(isNamed, ms, () => `the event '${name}'${hint(name, this.events)}`)
  }

  /**
   * Resolves after `ms` in which no event, or none with this name, has come besides those that are taken.
   *
   * @throws UnexpectedEventError as soon as one has come
   * @throws NotReceivedError if the stream ends meanwhile: then silence proves nothing
   */
  none(ms: number, name?: string): Promise<void> {
    const what = name === undefined ? 'no event' : `no event '${name}'`
    return this.#watch.quiet(() => {
      this.#throwFailure()
      const events = this.events.slice(this.#taken)
      const unexpected = events.find(({ event = 'message' }) => name === undefined || event === name)
      if (unexpected !== undefined) {
        throw new UnexpectedEventError(`There was to be ${what} for ${ms} ms, but: ${showEvent(unexpected)}`)
      }
      if (this.ended || this.isClosed || this.#isNoStream()) throw this.#over(what, `for ${ms} ms`)
    }, ms)
  }

  /** The event `connected` of this connection. */
  connected(ms?: number): Promise<Event> {
    const look = () => this.signals.slice(this.#signalsBefore).find(({ event }) => event === 'connected')
    return this.wait("the event 'connected'", ms, look)
  }

  /** Resolves on the proper end of the body; rejects if the connection is lost instead. */
  waitForEnd(ms?: number): Promise<true> {
    const isOver = () => this.isClosed
    return this.wait('the end of the stream', ms, () => this.ended || undefined, isOver)
  }

  // -- for the transport

  /** Prepares for another connection. */
  begin(): void {
    this.#closed = deferred()
    this.#head = this.#headers = this.#gunzip = this.error = this.failure = undefined
    this.ended = this.isClosed = false
    this.#signalsBefore = this.signals.length
    this.beginBody()
  }

  receiveHead(head: Head): void {
    this.#head = head
    this.#watch.changed()
  }

  receive(bytes: Uint8Array): void {
    const encoding = this.headers.get('content-encoding') ?? 'identity'
    if (encoding === 'identity') this.#record(bytes)
    else if (encoding === 'gzip') this.#decoding().push(bytes)
    else this.fail(new Error(`content-encoding ${encoding}`))
  }

  finish(): void {
    if (this.#gunzip === undefined) this.#finish()
    else this.#gunzip.end()
  }

  fail(error: Error): void {
    this.failure ??= error
    this.#watch.changed()
  }

  hangUp(error?: Error): void {
    if (this.#gunzip === undefined) this.#hangUp(error)
    else this.#gunzip.whenIdle(() => this.#hangUp(error))
  }

  // -- inner

  protected wait<T>(
    what: string | (() => string),
    ms: number | undefined,
    look: () => T | undefined,
    isOver = () => this.ended || this.isClosed
  ): Promise<T> {
    const lookOrGiveUp = () => {
      // First, so that no test passes on bytes that came along with broken ones.
      this.#throwFailure()
      const found = look()
      if (found === undefined && isOver()) {
        throw this.#over(typeof what === 'string' ? what : what())
      }
      return found
    }
    return this.#watch.until(lookOrGiveUp, what, ms)
  }

  #throwFailure(): void {
    if (this.failure === undefined) return
    const { message } = this.failure
    throw new BrokenStreamError(`What came is no event stream: ${message}. ${this.#summary()}`, { cause: this.failure })
  }

  #over(what: string, span = ''): NotReceivedError {
    const cause = this.error === undefined ? {} : { cause: this.error }
    return new NotReceivedError(
      `Waited${span === '' ? '' : ` ${span}`} for ${what}, but it can come no more. ${this.#summary()}`,
      cause
    )
  }

  #decoding(): Gunzip {
    this.#gunzip ??= new Gunzip({
      receive: (decoded) => this.#record(decoded),
      finish: () => this.#finish(),
      fail: (error) => this.fail(error)
    })
    return this.#gunzip
  }

  #finish(): void {
    this.ended = true
    this.#record()
  }

  #hangUp(error?: Error): void {
    if (this.isClosed) return
    this.error = error
    this.isClosed = true
    this.#closed.resolve()
    this.#watch.changed()
  }

  #record(bytes?: Uint8Array): void {
    try {
      this.record(bytes)
      this.#watch.changed()
    } catch (error) {
      this.fail(error as Error)
    }
  }

  #arrivedHead(): Head {
    if (!this.#head) throw new Error('the head has not come yet: await head() first')
    return this.#head
  }

  #isNoStream(): boolean {
    return this.#head !== undefined && !isEventStream(this.headers)
  }

  #summary(): string {
    const taken = this.#taken
    if (this.#head === undefined) {
      const events = this.events.length === 0 ? '' : ` ${showEvents(this.events, taken)}`
      return `There is no answer${this.isClosed ? `, and ${this.#state()}` : ''}.${events}`
    }
    const { status, headers, body } = this
    const isStream = !this.#isNoStream()
    const answer = showAnswer({ status, contentType: headers.get('content-type'), isStream, body })
    if (!isStream) return answer
    const greeted = this.signals[this.#signalsBefore]
    const greeting = greeted === undefined ? '' : `, it began with ${showEvent(greeted)}`
    const lastId = this.lastEventId === '' ? '' : `, the last event id is '${this.lastEventId}'`
    return `${answer} The connection ${this.#state()}${greeting}${lastId}. ${showEvents(this.events, taken)}`
  }

  #state(): string {
    if (this.ended) return 'has ended'
    if (this.isClosed) return this.error === undefined ? 'is closed' : `was lost (${this.error.message})`
    return 'is open'
  }
}

function isEventStream(headers: Headers): boolean {
  return /^text\/event-stream\b/i.test(headers.get('content-type') ?? '')
}
