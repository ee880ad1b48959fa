import { BackplaneFullError, BackplaneRefusedError, BackplaneTimeoutError, ClosedError } from '../api/errors.js'
import { Backoff, pause } from './backoff.js'
import type { BackplaneLimits, BackplaneMessage, Parcel } from './backplane.js'
import { within } from './within.js'

/** Messages and bytes that go to the engine at once. */
const BATCH_MESSAGES = 500
const BATCH_BYTES = 1024 * 1024
/** Waits before the engine is tried again, ms: the first, and the longest. */
const MIN_PAUSE = 50
const MAX_PAUSE = 1000
/** Between two looks for messages that have waited too long, ms. */
const SWEEP = 250
/** What a message costs beside its body, bytes, about. */
const OVERHEAD = 300

/** A message on its way to the engine. */
interface Waiting extends Parcel {
  readonly size: number
  /** When it has waited long enough, ms on the clock of `performance.now()`. */
  readonly deadline: number
  /** Attempts that have failed: the engine may have it all the same. */
  failures: number
  /** The place that the engine gave it, where the reader has yet to tell what has become of it. */
  cursor?: string
  resolve(id: string): void
  reject(error: Error): void
}

/**
 * Carries messages to the engine, one batch at a time, so that they stay in order. Those that wait are bounded by
 * number, bytes and time. What fails is tried again: a reader tells by its `messageId` what has arrived twice.
 */
export class PublishQueue {
  readonly #publisher: string
  readonly #publish: (batch: readonly Parcel[]) => Promise<readonly string[]>
  readonly #limits: BackplaneLimits
  /** By `messageId`, in order. */
  readonly #unsent = new Map<string, Waiting>()
  readonly #unread = new Map<string, Waiting>()
  readonly #stop = new AbortController()
  #bytes = 0
  #count = 0
  /** Messages that go alone, as the engine has refused a batch with them. */
  #oneByOne = 0
  #running: Promise<void> | undefined
  #sweeper: NodeJS.Timeout | undefined

  /**
   * @param publisher names this life of this process
   * @param publish as a backplane's
   */
  constructor(
    publisher: string,
    publish: (batch: readonly Parcel[]) => Promise<readonly string[]>,
    limits: BackplaneLimits
  ) {
    this.#publisher = publisher
    this.#publish = publish
    this.#limits = limits
  }

  /** Messages that the engine has not acknowledged. */
  get pending(): number {
    return this.#unsent.size
  }

  /**
   * Takes all of these messages, or none. The promises resolve with the ids under which they are known.
   *
   * @throws BackplaneFullError where there is no room for them
   */
  send(messages: readonly BackplaneMessage[]): Promise<string>[] {
    const sizes = messages.map(({ body }) => Buffer.byteLength(body) + OVERHEAD)
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    const { maxPending, maxPendingBytes, publishTimeout } = this.#limits
    const isFull = this.#unsent.size + messages.length > maxPending || this.#bytes + bytes > maxPendingBytes
    if (isFull) throw new BackplaneFullError(this.#unsent.size)
    const deadline = performance.now() + publishTimeout
    const promises = messages.map((message, i) => this.#take(message, sizes[i]!, deadline))
    this.#running ??= this.#run()
    if (this.#sweeper === undefined) {
      this.#sweeper = setInterval(() => this.#sweep(performance.now()), SWEEP)
      this.#sweeper.unref()
    }
    return promises
  }

  /** What has become of a message, as the reader has found it: its id, or why it is none. Others' do not matter here. */
  settle(messageId: string, outcome: string | Error): void {
    const waiting = this.#unsent.get(messageId) ?? this.#unread.get(messageId)
    if (waiting === undefined) return
    this.#forget(waiting)
    if (typeof outcome === 'string') waiting.resolve(outcome)
    else waiting.reject(outcome)
  }

  /** Waits up to `ms` for the messages being published, and gives up the rest. */
  async close(ms: number): Promise<void> {
    const { signal } = this.#stop
    await Promise.race([this.#running, pause(ms, signal)])
    this.#stop.abort()
    for (const messageId of this.#unsent.keys()) this.settle(messageId, new ClosedError())
    for (const [messageId, waiting] of this.#unread) this.settle(messageId, likelyId(waiting))
    clearInterval(this.#sweeper)
  }

  #take(message: BackplaneMessage, size: number, deadline: number): Promise<string> {
    const messageId = `${this.#publisher}:${++this.#count}`
    this.#bytes += size
    return new Promise((resolve, reject) => {
      this.#unsent.set(messageId, { messageId, message, size, deadline, failures: 0, resolve, reject })
    })
  }

  #forget({ messageId, size }: Waiting): void {
    if (this.#unsent.delete(messageId)) this.#bytes -= size
    this.#unread.delete(messageId)
  }

  async #run(): Promise<void> {
    // What is broadcast in one go makes one batch.
    await null
    const backoff = new Backoff(MIN_PAUSE, MAX_PAUSE)
    while (this.#unsent.size > 0 && !this.#stop.signal.aborted) {
      const batch = this.#nextBatch()
      try {
        this.#acknowledge(batch, await this.#tryToPublish(batch))
        backoff.reset()
      } catch (error) {
        if (error instanceof BackplaneRefusedError && batch.length > 1) {
          // It may be for one of them.
          this.#oneByOne = batch.length
          for (const waiting of batch) waiting.failures++
          continue
        }
        if (error instanceof BackplaneRefusedError) {
          for (const { messageId } of batch) this.settle(messageId, error)
          continue
        }
        for (const waiting of batch) waiting.failures++
        await backoff.wait(this.#stop.signal)
      }
    }
    this.#running = undefined
  }

  /** The oldest of those that wait. */
  #nextBatch(): Waiting[] {
    const batch: Waiting[] = []
    const most = this.#oneByOne > 0 ? 1 : BATCH_MESSAGES
    this.#oneByOne = Math.max(0, this.#oneByOne - 1)
    let bytes = 0
    for (const waiting of this.#unsent.values()) {
      bytes += waiting.size
      if (batch.length === most || (batch.length > 0 && bytes > BATCH_BYTES)) break
      batch.push(waiting)
    }
    return batch
  }

  /** Rejects when the engine has not answered in time, since it must not hold up what comes after. */
  #tryToPublish(batch: readonly Waiting[]): Promise<readonly string[]> {
    return within(this.#limits.publishTimeout, this.#publish(batch.map(parcelOf)))
  }

  #acknowledge(batch: readonly Waiting[], cursors: readonly string[]): void {
    for (const [i, waiting] of batch.entries()) {
      // Given up meanwhile, or read already.
      if (!this.#unsent.has(waiting.messageId)) continue
      const { message, failures, messageId } = waiting
      const isPlain = message.kind !== 'event' || (message.id === undefined && message.request === undefined)
      if (isPlain && failures === 0) {
        this.settle(messageId, cursors[i]!)
        continue
      }
      // It may stand there twice, or be refused for its id: the reader tells.
      this.#forget(waiting)
      waiting.cursor = cursors[i]!
      this.#unread.set(messageId, waiting)
    }
  }

  #sweep(now: number): void {
    const { publishTimeout } = this.#limits
    for (const { messageId, deadline } of this.#unsent.values()) {
      if (deadline > now) break
      this.settle(messageId, new BackplaneTimeoutError(publishTimeout))
    }
    for (const waiting of this.#unread.values()) {
      if (waiting.deadline > now) break
      this.settle(waiting.messageId, likelyId(waiting))
    }
    if (this.#unsent.size + this.#unread.size > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }
}

/** As it is published: an entry that a later attempt makes is told from one that an earlier attempt has made. */
function parcelOf({ messageId, message, failures }: Waiting): Parcel {
  return { messageId, message: failures === 0 ? message : { ...message, attempt: failures + 1 } }
}

/** The engine has it, and the reader is late: this is the best that is known. */
function likelyId({ message, cursor }: Waiting): string {
  return (message.kind === 'event' && message.id) || cursor!
}
