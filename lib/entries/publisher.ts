/**
 * A publisher for programs that have no clients and are not Fastify apps.
 *
 * @module pylon-sse/publisher
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventData, EventName, PublishOptions } from '../api/api.js'
import { BackplaneTimeoutError, ClosedError, DuplicateIdError, InvalidOptionError } from '../api/errors.js'
import { MAX_DELAY, onlyKnown } from '../api/input/checks.js'
import { GuardedLogger, type Logger } from '../api/input/logger.js'
import { checkOption } from '../api/input/option-checks.js'
import { ENCODING } from '../api/options.js'
import type { Backplane, BackplaneEvent } from '../backplane/backplane.js'
import { IdempotencyKeys } from '../backplane/idempotency.js'
import { Mirror } from '../backplane/mirror.js'
import { readTransaction } from '../backplane/transaction.js'
import { within } from '../backplane/within.js'
import { reservedIdError } from '../log/encode.js'
import { compareEngineIds } from '../log/engine-id.js'
import { EventEncoder, type EventSchema } from '../log/event-encoder.js'
import { EventLog } from '../log/event-log.js'

export type { EventData, EventName, EventOptions, PublishOptions, SseEvents, Transaction } from '../api/api.js'
export type { Logger } from '../api/input/logger.js'
export type { Backplane } from '../backplane/backplane.js'

/** How much of the log it keeps. It has no clients to replay events to, and only checks for ids that are taken. */
const HISTORY = { events: 1000, bytes: 1024 * 1024 }
/** The first and the longest pause between two attempts to join, ms. */
const MIN_PAUSE = 100
const MAX_PAUSE = 2000
/** Time that published events have to reach the engine when it closes, ms. */
const GRACE = 1000
const ignore = () => undefined
const SILENT: Logger = { debug: ignore, warn: ignore, error: ignore }

/** Options of `publisher`. */
export interface PublisherOptions {
  /** Serialises an event's data. Default: `JSON.stringify`. */
  serialize?: (data: unknown) => string
  /**
   * Maximum size of an event's data, name and id together in UTF-8, bytes. A larger event is refused. Default: 1 MiB.
   */
  maxEventBytes?: number
  /** Maximum size of a topic in UTF-8, bytes. A longer topic is refused. Default: 256. */
  maxTopicBytes?: number
  /** JSON schemas by event name, like the plugin's option `events`. Default: none. */
  events?: Record<string, EventSchema>
  /** Logs when the engine is out of reach and when it is back; pino or `console` will do. Default: no logging. */
  logger?: Logger
}

/** Publishes to the clients of an app that runs elsewhere. */
export interface Publisher {
  /**
   * Like `app.sse.publish`: waits for an engine that is out of reach, publishes in order and once, and resolves with
   * the event's id when the engine has it. The process is kept alive until then.
   *
   * @throws UnserializableError, InvalidEventError, EventTooLargeError, DuplicateIdError, ClosedError;
   *   BackplaneUnavailableError if the engine was out of reach for `publishTimeout` (10 s), BackplaneTimeoutError if it
   *   did not answer for as long, BackplaneRefusedError, BackplaneFullError
   */
  publish<Name extends EventName | undefined = undefined>(
    data: EventData<Name>,
    options?: PublishOptions<Name>
  ): Promise<string>
  /**
   * Waits for events that are being published, for at most 1 s, and closes the connections. Then the process can exit.
   */
  close(): Promise<void>
}

/**
 * Creates a publisher for a program without clients: a worker, a script, a cron job. It joins the backplane by itself.
 *
 * @param backplane like the app's: the same engine, key or stream. Each publisher needs an instance of its own.
 * @throws InvalidOptionError
 * @example
 * const sse = publisher(redisStreams({ url: 'redis://localhost' }))
 * await sse.publish({ id: 7 }, { event: 'report.done', topic: 'reports' })
 * await sse.close()
 */
export function publisher(backplane: Backplane, options: PublisherOptions = {}): Publisher {
  const shared = new SharedPublisher(backplane, check(backplane, options))
  return Object.freeze({
    publish: async (data: unknown, options?: PublishOptions) => shared.publish(data, options),
    close: async () => shared.close()
  }) as Publisher
}

/** The implementation of a publisher, which shares a log with the apps. */
class SharedPublisher {
  readonly #backplane: Backplane
  readonly #encoder: EventEncoder
  readonly #log = new EventLog({ ...HISTORY, epoch: '', replay: HISTORY.events })
  readonly #shared: Mirror
  readonly #closing = new AbortController()
  readonly #pending = new Set<Promise<string>>()
  /** Why the last attempt to join failed; undefined once it has joined. */
  #reason: unknown
  #closed: Promise<void> | undefined

  constructor(backplane: Backplane, { logger, ...encoding }: Required<PublisherOptions>) {
    this.#encoder = new EventEncoder(encoding)
    this.#backplane = backplane
    const log = this.#log
    const local = {
      answers: new IdempotencyKeys(HISTORY.events),
      has: (id: string) => log.has(id),
      append: (event: BackplaneEvent, id: string) => {
        // Pieces of runs are not in the hub's log.
        return event.run === undefined ? log.append(event.body, event, id).id : id
      },
      isReserved: (id: string) => log.isReserved(id),
      rebase: (floor: string) => log.rebase(floor, (a, b) => compareEngineIds(a, b, backplane)),
      // These concern clients only.
      compareWithHead: ignore,
      addBareId: ignore,
      order: ignore,
      hearRun: ignore,
      onState: ignore,
      skipGap: ignore
    }
    this.#shared = new Mirror(backplane, HISTORY, local, new GuardedLogger(logger))
    void this.#join()
  }

  async publish(data: unknown, options?: PublishOptions): Promise<string> {
    const [transaction, labels] = readTransaction(options)
    const event = this.#encoder.encode(data, labels)
    if (this.#closed !== undefined) throw new ClosedError()
    if (event.id !== undefined) this.#checkId(event.id)
    if (transaction !== undefined) return this.#shared.publishWithin(transaction, event)
    const publishing = this.#keepAlive(this.#publish(event))
    this.#pending.add(publishing)
    const settled = () => this.#pending.delete(publishing)
    publishing.then(settled, settled)
    return publishing
  }

  close(): Promise<void> {
    this.#closed ??= this.#keepAlive(this.#close())
    return this.#closed
  }

  async #close(): Promise<void> {
    await within(GRACE, Promise.allSettled(this.#pending)).catch(() => {})
    this.#closing.abort()
    await this.#shared.close()
  }

  /** An id that is taken later is found by whoever reads the log. */
  #checkId(id: string): void {
    if (this.#log.has(id)) throw new DuplicateIdError(id)
    const trimmed = id.trim()
    if (compareEngineIds(trimmed, trimmed, this.#backplane) !== undefined) throw reservedIdError(id)
  }

  async #publish(event: BackplaneEvent): Promise<string> {
    try {
      const [id] = await this.#shared.publish([event])
      return id!
    } catch (error) {
      throw error instanceof BackplaneTimeoutError ? (this.#reason ?? error) : error
    }
  }

  async #join(): Promise<void> {
    const { signal } = this.#closing
    for (let pause = MIN_PAUSE; !signal.aborted; pause = Math.min(pause * 2, MAX_PAUSE)) {
      try {
        await this.#shared.join()
        this.#reason = undefined
        return
      } catch (error) {
        this.#reason = error
        await sleep(pause, undefined, { ref: false, signal }).catch(() => {})
      }
    }
  }

  /** Keeps the process alive: while the engine is out of reach, nothing else may. */
  async #keepAlive<T>(work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => {}, MAX_DELAY)
    try {
      return await work
    } finally {
      clearTimeout(timer)
    }
  }
}

const DEFAULTS: Required<PublisherOptions> = { ...ENCODING, logger: SILENT }

function check(backplane: Backplane, options: PublisherOptions): Required<PublisherOptions> {
  checkOption('backplane', backplane)
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  onlyKnown(Object.fromEntries(given), Object.keys(DEFAULTS))
  for (const [name, value] of given) {
    if (name !== 'logger') checkOption(name as keyof typeof ENCODING, value)
    else if (typeof value !== 'object' || value === null)
      throw new InvalidOptionError(name, String(value), 'a logger, { debug, warn, error }')
  }
  return { ...DEFAULTS, ...Object.fromEntries(given) }
}
