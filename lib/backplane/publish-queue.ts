// The queue of messages that wait to be published to the engine: batches, retries and limits.

import { BackplaneFullError, BackplaneRefusedError, BackplaneTimeoutError, ClosedError } from '../api/errors.js'
import { Backoff, pause } from './backoff.js'
import type { BackplaneLimits, BackplaneMessage, Parcel } from './backplane.js'
import { within } from './within.js'

/** Maximum size of a batch: messages, and bytes. */
const BATCH_MESSAGES = 500
const BATCH_BYTES = 1024 * 1024
/** The first and the longest pause before a batch is tried again, ms. */
const MIN_PAUSE = 50
const MAX_PAUSE = 1000
/** Interval at which messages that have waited too long are looked for, ms. */
const SWEEP = 250
/** Approximate size of a message besides its body, bytes. */
const OVERHEAD = 300

/** A message that waits to be published. */
interface Waiting extends Parcel {
  readonly size: number
  /** When it has waited for too long, ms on the clock of `performance.now()`. */
  readonly deadline: number
  /** Number of attempts that have failed. The engine may have stored the message nevertheless. */
  failures: number
  /** The place that the engine gave it, if this process has yet to read it there. */
  cursor?: string
  resolve(id: string): void
  reject(error: Error): void
}

/**
 * Publishes messages, one batch at a time, so that they stay in order. Those that wait are bounded by number, bytes and
 * time. A batch that fails is tried again; readers recognise duplicates by their `messageId`.
 */
export class PublishQueue {
  readonly #publisher: string
  readonly #publish: (batch: readonly Parcel[]) => Promise<readonly string[]>
  readonly #limits: BackplaneLimits
  /** Waiting messages by `messageId`, in order. */
  readonly #unsent = new Map<string, Waiting>()
  readonly #unread = new Map<string, Waiting>()
  readonly #stop = new AbortController()
  #bytes = 0
  #count = 0
  /** Messages that are published one by one, since the engine has refused a batch with them. */
  #oneByOne = 0
  #running: Promise<void> | undefined
  #sweeper: NodeJS.Timeout | undefined

  /**
   * @param publisher identifies this process, from its start to its end
   * @param publish like `Backplane.publish`
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

  /** Number of messages that the engine has not acknowledged. */
  get pending(): number {
    return this.#unsent.size
  }

  /**
   * Accepts all of these messages, or none. The promises resolve with the ids of the events.
   *
   * @throws BackplaneFullError if they would exceed a limit
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

  /** Resolves or rejects a message as the reader has found it in the log. Messages of other processes are ignored. */
  settle(messageId: string, outcome: string | Error): void {
    const waiting = this.#unsent.get(messageId) ?? this.#unread.get(messageId)
    if (waiting === undefined) return
    this.#forget(waiting)
    if (typeof outcome === 'string') waiting.resolve(outcome)
    else waiting.reject(outcome)
  }

  /** Waits up to `ms` for messages to be published, and rejects the rest. */
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
    // Events that are broadcast in one turn become one batch.
    await null
    const backoff = new Backoff(MIN_PAUSE, MAX_PAUSE)
    while (this.#unsent.size > 0 && !this.#stop.signal.aborted) {
      const batch = this.#nextBatch()
      try {
        this.#acknowledge(batch, await this.#tryToPublish(batch))
        backoff.reset()
      } catch (error) {
        if (error instanceof BackplaneRefusedError && batch.length > 1) {
          // One of the messages may be the reason.
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

  /** Takes the oldest messages that wait, up to the size of a batch. */
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

  /** Publishes a batch. Rejects if the engine does not answer in time, since later messages wait for it. */
  #tryToPublish(batch: readonly Waiting[]): Promise<readonly string[]> {
    return within(this.#limits.publishTimeout, this.#publish(batch.map(parcelOf)))
  }

  #acknowledge(batch: readonly Waiting[], cursors: readonly string[]): void {
    for (const [i, waiting] of batch.entries()) {
      // It has been given up meanwhile, or has been read already.
      if (!this.#unsent.has(waiting.messageId)) continue
      const { message, failures, messageId } = waiting
      const isPlain = message.kind !== 'event' || (message.id === undefined && message.request === undefined)
      if (isPlain && failures === 0) {
        this.settle(messageId, cursors[i]!)
        continue
      }
      // It may be stored twice, or its id may be taken: only the reader knows.
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

/** Returns a message as it is published. The number of the attempt tells apart the entries of several attempts. */
function parcelOf({ messageId, message, failures }: Waiting): Parcel {
  return { messageId, message: failures === 0 ? message : { ...message, attempt: failures + 1 } }
}

/** Resolves a message that the engine has and the reader has yet to reach: its place is the best that is known. */
function likelyId({ message, cursor }: Waiting): string {
  return (message.kind === 'event' && message.id) || cursor!
}
