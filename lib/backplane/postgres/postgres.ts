/**
 * The backplane that keeps the log in Postgres.
 *
 * @module pylon-sse/postgres
 */
import type { Transaction } from '../../api/api.js'
import { Backoff } from '../backoff.js'
import type {
  Backplane,
  BackplaneEvent,
  BackplaneLimits,
  BackplaneListener,
  HistoryBounds,
  Joined,
  Parcel
} from '../backplane.js'
import { refused, unavailable } from '../engine-errors.js'
import { resolveLimits } from '../limits.js'
import { type Continuity, Membership } from '../membership.js'
import { whileComing, within } from '../within.js'
import { borrowFrom, type Connect, type Connection, connectTo, listeningBy } from './connection.js'
import { isAbsence, isPassing, isRefusal, reasonOf } from './errors.js'
import { PostgresLink } from './link.js'
import { compareLogCursors } from './log-cursor.js'
import { checkVersion, migrate } from './migrations.js'
import { addressOf, type Checked, check, type PostgresOptions } from './options.js'
import { openAt, shareOf } from './pglite.js'
import { type Loaded, type Mark, PostgresLog } from './postgres-log.js'
import { checkServer } from './server-check.js'
import { encodeRow } from './stored-message.js'
import { TRIM_BATCH, Trimmer } from './trimmer.js'

export type { Backplane, BackplaneLimits } from '../backplane.js'
export type { PgClient, PgPool } from './connection.js'
export type { PostgresOptions } from './options.js'
export type { PGliteClient } from './pglite.js'
export { openPGlite } from './pglite.js'

const NAME = 'postgres'
/** How long the server may take to reply, ms. */
const ANSWER_TIMEOUT = 5000
/** Bounds of the pause between attempts to connect, ms. */
const MIN_PAUSE = 50
const MAX_PAUSE = 1000

/**
 * Creates a backplane that keeps its log in tables of Postgres (14 or later). Events are in the order in which their transactions
 * committed. It connects when the plugin starts.
 *
 * @throws InvalidOptionError if an option is missing, unknown, or has a wrong value
 * @example
 * await app.register(pylonSse, { backplane: postgres({ connectionString: process.env.DATABASE_URL, migrate: true }) })
 */
export function postgres(options: PostgresOptions): Backplane {
  return new Postgres(check(options))
}

class Postgres implements Backplane {
  readonly name = NAME
  readonly limits: BackplaneLimits
  readonly #options: Checked
  readonly #log: PostgresLog
  readonly #link: PostgresLink
  readonly #trimmer: Trimmer
  readonly #membership: Membership
  /** The last entry that was read. Reading continues after it. */
  #mark!: Mark
  /** Whether `#wake` was called since the last read began, so that there may be something to read. */
  #isAwake = false
  #wakeReader: (() => void) | undefined

  constructor(options: Checked) {
    this.#options = options
    this.limits = resolveLimits(options.limits)
    this.#membership = new Membership(this.limits.publishTimeout, (error) => this.#unavailable(error as Error))
    this.#log = new PostgresLog(options.schema)
    this.#link = new PostgresLink(
      connectFor(options),
      (connection) => this.#prepare(connection),
      () => this.#wake()
    )
    const { maxEvents, maxAge } = options
    this.#trimmer = new Trimmer(async () => {
      const connection = await this.#link.open()
      return within(ANSWER_TIMEOUT, this.#log.trim(connection, maxEvents, maxAge, TRIM_BATCH))
    })
  }

  async join(bounds: HistoryBounds, listener: BackplaneListener): Promise<Joined> {
    this.#membership.refuseSecondJoin()
    try {
      const connection = await this.#link.open()
      const loaded = await this.#membership.join(bounds, listener, this.#loadBy(connection))
      this.#mark = loaded.mark
      void this.#run()
      void this.#trimmer.run(this.#membership.signal)
      return loaded
    } catch (error) {
      this.#link.drop()
      throw this.#unavailable(this.#link.reason ?? (error as Error))
    }
  }

  async publish(batch: readonly Parcel[]): Promise<readonly string[]> {
    try {
      if (this.#membership.isClosed) throw new Error('it is closed')
      return await this.#append(await this.#link.open(), batch)
    } catch (error) {
      const cause = error as Error
      if (!isPassing(cause)) this.#drop()
      if (isRefusal(cause)) throw refused(NAME, reasonOf(cause), cause)
      throw this.#unavailable(cause)
    }
  }

  async publishWithin(transaction: Transaction, event: BackplaneEvent): Promise<void> {
    const { labels, body } = encodeRow(event)
    await transaction.query(`select ${this.#options.schema}.put($1, $2)`, [labels, body])
  }

  compare(a: string, b: string): number | undefined {
    return compareLogCursors(a, b, this.#mark?.epoch)
  }

  async close(): Promise<void> {
    this.#membership.close()
    this.#wake()
    await this.#link.close()
  }

  async #prepare(connection: Connection): Promise<void> {
    const { schema, listen } = this.#options
    const preparing = async () => {
      await checkServer(connection)
      await (this.#options.migrate ? migrate : checkVersion)(connection, schema)
      if (listen !== false) await connection.listen(schema, () => this.#wake())
    }
    await within(ANSWER_TIMEOUT, preparing())
  }

  #loadBy(connection: Connection) {
    return (bounds: HistoryBounds, onForeign: BackplaneListener['onForeign']): Promise<Loaded> =>
      this.#answer(connection, this.#log.load(connection, bounds, onForeign))
  }

  /** May wait behind a large answer, which takes long over a slow network. */
  #append(connection: Connection, batch: readonly Parcel[]): Promise<string[]> {
    return this.#answer(connection, this.#log.append(connection, batch))
  }

  #answer<T>(connection: Connection, answer: Promise<T>): Promise<T> {
    return whileComing(ANSWER_TIMEOUT, answer, () => connection.received)
  }

  async #run(): Promise<void> {
    const { signal } = this.#membership
    const backoff = new Backoff(MIN_PAUSE, MAX_PAUSE)
    // Code that awaits `join` must run before the listener gets the first entries.
    await new Promise(setImmediate)
    while (!signal.aborted) {
      this.#isAwake = false
      try {
        const hasMore = await this.#read(await this.#link.open())
        this.#membership.tell(true)
        backoff.reset()
        if (!hasMore) await this.#sleep(this.#options.pollInterval)
      } catch (error) {
        if (signal.aborted) return
        const cause = this.#link.reason ?? (error as Error)
        if (!isPassing(cause)) this.#link.drop()
        this.#membership.tell(false, cause)
        await backoff.wait(signal)
      }
    }
  }

  /** Reads the next entries and passes them to the listener. @returns whether there may be more */
  async #read(connection: Connection): Promise<boolean> {
    const reading = this.#log.readAfter(connection, this.#mark, this.#membership.onForeign)
    const read = await this.#answer(connection, reading)
    /* c8 ignore next: closed during a read, which no test can time */
    if (this.#membership.isClosed) return false
    if (typeof read === 'string') {
      await this.#restart(connection, read)
      return true
    }
    this.#mark = read.mark
    if (read.entries.length > 0) this.#membership.listener.onEntries(read.entries)
    return read.isFull
  }

  #restart(connection: Connection, continuity: Continuity): Promise<void> {
    return this.#membership.restart(continuity, {
      append: (report) => this.#append(connection, [report]),
      isFinal: (error) => isRefusal(error as Error),
      load: this.#loadBy(connection),
      goOnFrom: ({ mark }) => {
        this.#mark = mark
      }
    })
  }

  /** Waits for `ms`, or until `#wake` is called. Returns at once if it was called since the last read began. */
  async #sleep(ms: number): Promise<void> {
    if (this.#isAwake) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      timer.unref()
      this.#wakeReader = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wakeReader = undefined
  }

  #wake(): void {
    this.#isAwake = true
    this.#wakeReader?.()
  }

  #drop(): void {
    this.#link.drop()
    this.#wake()
  }

  #unavailable(error: Error): Error {
    const hint = isAbsence(error) ? '; run npx pylon-sse postgres --migrate, or set migrate: true' : ''
    return unavailable(`${NAME} at ${addressOf(this.#options)}`, `${reasonOf(error)}${hint}`, error)
  }
}

function connectFor({ pool, connectionString, pglite, dataDir, listen }: Checked): Connect {
  if (pglite !== undefined) return shareOf(pglite)
  if (dataDir !== undefined) return openAt(dataDir)
  const connect = pool === undefined ? connectTo(connectionString!) : borrowFrom(pool)
  return typeof listen === 'string' ? listeningBy(connect, connectTo(listen)) : connect
}
