import { deferred } from './deferred.js'
import { EventRecord, type SseEvent } from './event-record.js'
import { Gunzip } from './gunzip.js'
import { Watch } from './watch.js'

export interface Head {
  status: number
  /** In the order and letter case of the wire; a name that came twice is here twice. */
  rawHeaders: [name: string, value: string][]
}

/**
 * One answer of a server as a test sees it: what has come so far, and promises for what is to come. It does no I/O:
 * each transport feeds it by `receiveHead`, `receive`, `finish` and `hangUp`. A body of gzip it decodes.
 *
 * Events are consumed by `next`, `take` and `until`, in order; `events` keeps them all. Every wait rejects at once when
 * what it waits for can no longer come, and after `ms` otherwise.
 */
export class EventReader extends EventRecord {
  /** The body came to its proper end: not merely that the connection is gone. */
  ended = false
  isClosed = false
  /** What broke the connection, if the transport said so: often ECONNRESET. */
  error: Error | undefined
  /** The server broke the protocol: every wait from now on rejects with it. */
  failure: Error | undefined
  /** Resolves, never rejects, when the connection is gone. */
  readonly closed: Promise<void>

  readonly #closed = deferred()
  readonly #watch = new Watch(() => this.#summary())
  #head: Head | undefined
  #headers: Headers | undefined
  #gunzip: Gunzip | undefined
  #consumed = 0

  constructor() {
    super()
    this.closed = this.#closed.promise
  }

  // -- what has come

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
    return this.#wait('the head', ms, () => this.#head, isOver)
  }

  async next(ms?: number): Promise<SseEvent> {
    const [event] = await this.take(1, ms)
    return event!
  }

  /** The next `n` events that are not yet consumed. */
  take(n: number, ms?: number): Promise<SseEvent[]> {
    const look = () => {
      if (this.events.length - this.#consumed < n) return undefined
      const from = this.#consumed
      this.#consumed += n
      return this.events.slice(from, this.#consumed)
    }
    return this.#wait(n === 1 ? 'the next event' : `the next ${n} events`, ms, look)
  }

  /** The first unconsumed event that satisfies `predicate`; those before it are consumed too. */
  until(predicate: (event: SseEvent) => boolean, ms?: number): Promise<SseEvent> {
    let looked = 0
    const look = () => {
      for (looked = Math.max(looked, this.#consumed); looked < this.events.length; looked++) {
        const event = this.events[looked]!
        if (!predicate(event)) continue
        this.#consumed = looked + 1
        return event
      }
      return undefined
    }
    return this.#wait(`an event such that ${predicate}`, ms, look)
  }

  /** Resolves once `text` has come as a comment `times` times since the beginning. */
  waitForComment(text: string, times = 1, ms?: number): Promise<string> {
    const look = () => (this.comments.filter((comment) => comment === text).length >= times ? text : undefined)
    return this.#wait(`comment '${text}' (${times} in all)`, ms, look)
  }

  /** What the stream begins with: the client's id, and the interval of its keepalives, ms. */
  async greeting(ms?: number): Promise<{ client: string; keepAlive: number }> {
    const { data } = await this.#wait('the greeting', ms, () => this.signals[0])
    return JSON.parse(data)
  }

  /** The `times`-th `retry:` since the beginning. */
  waitForRetry(times = 1, ms?: number): Promise<number> {
    return this.#wait(`a retry field (${times} in all)`, ms, () => this.retries[times - 1])
  }

  /** Resolves once `id`, or any id when none is given, has been the last event id. */
  waitForId(id?: string, ms?: number): Promise<string> {
    const look = () => (id === undefined ? this.ids[0] : this.ids.find((seen) => seen === id))
    return this.#wait(id === undefined ? 'an id' : `id '${id}'`, ms, look)
  }

  /** The clean end of the body; rejects when the connection is cut instead. */
  waitForEnd(ms?: number): Promise<true> {
    const isOver = () => this.isClosed
    return this.#wait('the clean end', ms, () => this.ended || undefined, isOver)
  }

  /** The end of the connection, clean or not; then `ended` and `error` say which. */
  waitForClose(ms?: number): Promise<true> {
    const isOver = () => false
    return this.#wait('the connection to close', ms, () => this.isClosed || undefined, isOver)
  }

  // -- for the transport

  receiveHead(head: Head): void {
    this.#head = head
    this.#watch.changed()
  }

  receive(bytes: Uint8Array): void {
    if (this.headers.get('content-encoding') !== 'gzip') {
      this.#record(bytes)
      return
    }
    this.#gunzip ??= new Gunzip({
      receive: (decoded) => this.#record(decoded),
      finish: () => this.#finish(),
      fail: (error) => this.fail(error)
    })
    this.#gunzip.push(bytes)
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

  #wait<T>(
    what: string,
    ms: number | undefined,
    look: () => T | undefined,
    isOver = () => this.ended || this.isClosed
  ): Promise<T> {
    const lookOrGiveUp = () => {
      // First, so that no test passes on bytes that came along with foreign ones.
      if (this.failure) throw this.failure
      const found = look()
      if (found === undefined && isOver()) throw new Error(`over before ${what}; seen so far: ${this.#summary()}`)
      return found
    }
    return this.#watch.until(lookOrGiveUp, what, ms)
  }

  #summary(): string {
    const parts = [
      this.#head ? `status ${this.#head.status}` : 'no head',
      `${this.events.length} events (${this.#consumed} consumed), the last ${JSON.stringify(this.events.slice(-3))}`,
      `comments ${JSON.stringify(this.comments.slice(-5))}`,
      `retries ${JSON.stringify(this.retries)}`,
      `last event id '${this.lastEventId}'`,
      `body of ${this.body.length} characters ending in ${JSON.stringify(this.body.slice(-100))}`,
      this.ended ? 'ended' : 'not ended',
      this.isClosed ? `closed${this.error ? ` by ${this.error.message}` : ''}` : 'open'
    ]
    return parts.join(', ')
  }
}
