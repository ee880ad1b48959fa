// The options of `postgres`, their defaults and their checks.

import { InvalidOptionError } from '../../api/errors.js'
import { flag, MAX_DELAY, onlyKnown, refuse, whole } from '../../api/input/checks.js'
import { oneEngine } from '../engine-setup.js'
import { LIMITS, type LimitOptions } from '../limits.js'
import type { PgPool } from './connection.js'
import type { PGliteClient } from './pglite.js'

/** Options of `postgres`. It takes one of `pool`, `connectionString`, `pglite` and `dataDir`. */
export interface PostgresOptions extends LimitOptions {
  /**
   * A pool that the app owns: `Pool` of pg, or `app.pg.pool` of @fastify/postgres. The plugin takes one client out of it, to
   * publish and to read, keeps that while it runs, and replaces it when necessary. It does not close the pool.
   */
  pool?: PgPool | undefined
  /**
   * Instead of `pool`: `postgres://user:password@host:5432/database`, with `?sslmode=verify-full` for TLS. Needs the package pg.
   * The plugin opens one connection, or two if `listen` is a connection string.
   */
  connectionString?: string | undefined
  /** Instead of a server: a PGlite (Postgres in this process) that the app owns. The plugin does not close it. */
  pglite?: PGliteClient | undefined
  /** Instead of a server: the folder of a PGlite that the plugin opens and closes. Needs the package @electric-sql/pglite. */
  dataDir?: string | undefined
  /**
   * Whether the connection listens for notifications (LISTEN). Default: true. With false the plugin only polls for events; use it
   * if LISTEN does not work, as through PgBouncer in transaction mode. A connection string makes the plugin open a second
   * connection, past PgBouncer, which only listens.
   */
  listen?: boolean | string | undefined
  /** How often the plugin polls for events without a notification, ms, from 1. Default: 1,000; 100 with `listen: false`. */
  pollInterval?: number | undefined
  /**
   * Whether the plugin creates the schema, or migrates it to this release's version, at the start. The user needs the right to
   * create it. Default: false; true with `pglite` and `dataDir`.
   */
  migrate?: boolean | undefined
  /**
   * Name of the schema: 1 to 48 lower-case letters, digits and underscores, without a digit first. All processes that use the same
   * schema get each other's events. Default: `'pylon_sse'`.
   */
  schema?: string | undefined
  /**
   * Approximate number of events that the log keeps, from 1. Default: 100,000. Above that the oldest are deleted. If a process was
   * away and missed some of them, its clients get a `resync` with the reason `backplane`. The smallest value of all processes
   * applies.
   */
  maxEvents?: number | undefined
  /** How long the log keeps an event, ms. Default: no limit besides `maxEvents`. The smallest value of all processes applies. */
  maxAge?: number | undefined
}

/** The options with their defaults. */
export interface Checked {
  readonly pool: PgPool | undefined
  readonly connectionString: string | undefined
  readonly pglite: PGliteClient | undefined
  readonly dataDir: string | undefined
  readonly listen: boolean | string
  readonly pollInterval: number
  readonly migrate: boolean
  readonly schema: string
  readonly maxEvents: number
  readonly maxAge: number | undefined
  readonly limits: LimitOptions
}

const OPTIONS = [
  ...[
    'pool',
    'connectionString',
    'pglite',
    'dataDir',
    'listen',
    'pollInterval',
    'migrate',
    'schema',
    'maxEvents',
    'maxAge'
  ],
  ...LIMITS
]
/** The name is used in SQL without quotes, and also names a channel and a setting. */
const SCHEMA = /^[a-z_][a-z0-9_]{0,47}$/

/** @throws InvalidOptionError */
export function check(options: PostgresOptions): Checked {
  onlyKnown(options, OPTIONS, 'backplane.')
  const { pool, connectionString, pglite, dataDir, listen = true, schema = 'pylon_sse', ...rest } = options
  const engines = { pool, connectionString, pglite, dataDir }
  const isEmbedded = pglite !== undefined || dataDir !== undefined
  const { migrate = isEmbedded, pollInterval = listen === false ? 100 : 1000, maxEvents = 100_000, ...others } = rest
  const { maxAge, ...limits } = others
  oneEngine(engines)
  if (pglite !== undefined && typeof pglite.exec !== 'function')
    throw new InvalidOptionError('backplane.pglite', 'something else', 'a PGlite of @electric-sql/pglite')
  if (dataDir !== undefined && (typeof dataDir !== 'string' || dataDir === ''))
    refuse('backplane.dataDir', dataDir, 'the path of a folder')
  if (typeof listen === 'string' && isEmbedded)
    throw new InvalidOptionError('backplane.listen', 'a connection string', 'true or false with a PGlite')
  if (pool !== undefined && typeof pool.connect !== 'function')
    throw new InvalidOptionError('backplane.pool', 'something else', 'a Pool of pg')
  // The errors do not show the connection strings, which may have a password.
  if (connectionString !== undefined && !isAddress(connectionString))
    throw new InvalidOptionError('backplane.connectionString', 'something else', ADDRESS)
  if (typeof listen !== 'boolean' && !isAddress(listen))
    throw new InvalidOptionError('backplane.listen', 'something else', `true, false, or ${ADDRESS}`)
  flag('backplane.migrate', migrate)
  checkSchema(schema)
  whole(1, MAX_DELAY)('backplane.pollInterval', pollInterval)
  whole(1)('backplane.maxEvents', maxEvents)
  if (maxAge !== undefined) whole(1, MAX_DELAY)('backplane.maxAge', maxAge)
  return { ...engines, listen, pollInterval, migrate, schema, maxEvents, maxAge, limits }
}

const ADDRESS = 'a URL such as postgres://user@localhost:5432/database'

/** @throws InvalidOptionError */
export function checkSchema(schema: unknown): asserts schema is string {
  if (typeof schema === 'string' && SCHEMA.test(schema)) return
  refuse('backplane.schema', schema, 'a name of up to 48 small letters, digits and underscores')
}

function isAddress(value: unknown): boolean {
  return typeof value === 'string' && /^postgres(ql)?:\/\//.test(value) && URL.canParse(value)
}

/** The address of the database, for messages. It contains no password. */
export function addressOf({ pool, connectionString, pglite, dataDir }: Partial<Checked>): string {
  if (pglite !== undefined || dataDir !== undefined) return dataDir ?? 'PGlite'
  const {
    connectionString: given = connectionString,
    host,
    port = 5432,
    database
  } = (pool?.options ?? {}) as {
    connectionString?: string
    host?: string
    port?: number
    database?: string
  }
  if (given !== undefined && URL.canParse(given)) {
    const url = new URL(given)
    return `${url.host || 'its socket'}${url.pathname}`
  }
  return host === undefined ? 'the address of the pool' : `${host}:${port}/${database ?? ''}`
}
