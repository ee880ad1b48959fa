/**
 * A publisher without clients, for programs that are not Fastify apps.
 *
 * @module pylon-sse/publisher
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventData, EventName, PublishOptions } from '../api/api.js'
import { BackplaneTimeoutError, ClosedError, DuplicateIdError, InvalidOptionError } from '../api/errors.js'
import { MAX_DELAY, onlyKnown } from '../api/input/checks.js'
import { guardedLogger, type Logger } from '../api/input/logger.js'
import { checkOption } from '../api/input/option-checks.js'
import { ENCODING } from '../api/options.js'
import type { Backplane, BackplaneEvent } from '../backplane/backplane.js'
import { IdempotencyKeys } from '../backplane/idempotency.js'
import { Mirror } from '../backplane/mirror.js'
import { readTransaction } from '../backplane/transaction.js'
import { within } from '../backplane/within.js'
import { reservedIdError } from '../log/encode.js'
import { EventEncoder, type EventSchema } from '../log/event-encoder.js'
import { EventLog } from '../log/event-log.js'
import { comparePlaces } from '../log/place-name.js'

export type { EventData, EventName, EventOptions, PublishOptions, SseEvents, Transaction } from '../api/api.js'
export type { Logger } from '../api/input/logger.js'
export type { Backplane } from '../backplane/backplane.js'

/** What it keeps of the log: it has no clients, and only looks for ids that events have been given. */
const HISTORY = { events: 1000, bytes: 1024 * 1024 }
/** Between two attempts to join, ms: the first, and the longest. */
const MIN_PAUSE = 100
const MAX_PAUSE = 2000
/** How long what was published has to get out when it closes, ms. */
const GRACE = 1000
const ignore = () => undefined
const SILENT: Logger = { debug: ignore, warn: ignore, error: ignore }

/** Options of `publisher`. */
export interface PublisherOptions {
  /** Data to text. Default: `JSON.stringify`. */
  serialize?: (data: unknown) => string
  /** A larger event is refused, bytes. Default: 1 MiB. */
  maxEventBytes?: number
  /** A longer topic is refused, bytes. Default: 256. */
  maxTopicBytes?: number
  /** JSON schemas by the name of the event, as the plugin's option `events`. Default: none. */
  events?: Record<string, EventSchema>
  /** Is told when the engine is out of reach and when it is back; pino or `console` will do. Default: nobody. */
  logger?: Logger
}

/** Publishes to the clients of an app that runs elsewhere. */
export interface Publisher {
  /**
   * As `app.sse.publish`: waits for an engine that is away, publishes in order, and once, and resolves with the event's id
   * when the engine has it. The process goes on until that is known.
   *
   * @throws UnserializableError, InvalidEventError, EventTooLargeError, DuplicateIdError, ClosedError;
   *   BackplaneUnavailableError where the engine was not there for `publishTimeout` (10 s), BackplaneTimeoutError where it
   *   did not answer for as long, BackplaneRefusedError, BackplaneFullError
   */
  publish<Name extends EventName | undefined = undefined>(
    data: EventData<Name>,
    options?: PublishOptions<Name>
  ): Promise<string>
  /** Lets what is under way get out, for 1 s at most, and ends the connections. The process can end then. */
  close(): Promise<void>
}

/**
 * A publisher for programs that have no clients: a worker, a script, a cron job. It joins the backplane by itself.
 *
 * @param backplane as the app has it: the same engine, key or stream. Each publisher needs one of its own.
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

/** What is behind a publisher: the log that it shares with the apps. */
class SharedPublisher {
  readonly #backplane: Backplane
  readonly #encoder: EventEncoder
  readonly #log = new EventLog({ ...HISTORY, epoch: '', replay: HISTORY.events })
  readonly #shared: Mirror
  readonly #closing = new AbortController()
  readonly #pending = new Set<Promise<string>>()
  /** Why it could not join, the last time it tried; nothing once it has joined. */
  #reason: unknown
  #closed: Promise<void> | undefined

  constructor(backplane: Backplane, { logger, ...encoding }: Required<PublisherOptions>) {
    this.#encoder = new EventEncoder(encoding)
    this.#backplane = backplane
    const log = this.#log
    const local = {
      answers: new IdempotencyKeys(HISTORY.events),
      has: (id: string) => log.has(id),
      append: (event: BackplaneEvent, place: string) => {
        // A piece of a run is in no log of the hub's.
        return event.run === undefined ? log.append(event.body, event, place).id : place
      },
      isReserved: (id: string) => log.isReserved(id),
      rebase: (floor: string) => log.rebase(floor, (a, b) => comparePlaces(a, b, backplane)),
      // These are about clients.
      compareWithHead: ignore,
      addBarePlace: ignore,
      order: ignore,
      hearRun: ignore,
      onState: ignore,
      skipGap: ignore
    }
    this.#shared = new Mirror(backplane, HISTORY, local, guardedLogger(logger))
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

  /** What is published since it looked the reader tells. */
  #checkId(id: string): void {
    if (this.#log.has(id)) throw new DuplicateIdError(id)
    const place = id.trim()
    if (comparePlaces(place, place, this.#backplane) !== undefined) throw reservedIdError(id)
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

  /** Nothing else may hold the process, while the engine is away. */
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
