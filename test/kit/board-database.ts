// Databases for the example: PGlite, and a Postgres if there is one.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { PGlite } from '@electric-sql/pglite'
import tap from 'tap'
import type { Backplane } from '../../lib/backplane/backplane.js'
import { findBinary } from './binary.js'
import { type PostgresServer, pathOf, startPostgres } from './postgres-server.js'

interface Queries {
  query(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  execute(script: string): Promise<void>
}

/** The database of the example, as its `database/database.js` describes it. */
export interface BoardDatabase extends Queries {
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>
  backplane(): Backplane
  /** Where psql finds it; nothing for one in this process. */
  url?: string
  close(): Promise<void>
}

// The example is JavaScript, and uses the built package as its users do.
const { openDatabase, shareOf } = (await import(
  new URL('../../example-app/database/database.js', import.meta.url).href
)) as { openDatabase(where: { url: string }): Promise<BoardDatabase>; shareOf(pglite: PGlite): BoardDatabase }
const { postgres } = (await import(
  'pylon-sse/postgres' as string
)) as typeof import('../../lib/backplane/postgres/postgres.js')

const run = promisify(execFile)

let server: Promise<PostgresServer | undefined> | undefined
let pglite: Promise<PGlite> | undefined
let databases = 0

/** The one server of this process; nothing where there is no Postgres on this machine. */
export async function boardServer(): Promise<PostgresServer | undefined> {
  if (findBinary(await pathOf('postgres')) === undefined) return undefined
  server ??= startPostgres(tap)
  return server
}

/** An empty database of its own: on a server where there is one, and else beside others in one PGlite, which is slow to open. */
export async function emptyDatabase(): Promise<BoardDatabase> {
  databases++
  const name = `board_${databases}`
  const server = await boardServer()
  if (server !== undefined) {
    await server.admin.query(`create database ${name}`)
    const url = server.urlOf(name)
    return { ...(await openDatabase({ url })), url }
  }
  pglite ??= PGlite.create()
  const shared = await pglite
  if (databases === 1) tap.teardown(() => shared.close())
  return beside(shareOf(shared), shared, name)
}

/** Has the tables in schemas of their own. */
function beside(database: BoardDatabase, pglite: PGlite, name: string): BoardDatabase {
  const events = `${name}_events`
  const adapt = (text: string) => text.replaceAll('pylon_sse.', `${events}.`).replaceAll(/\bboard(?=\.|;)/g, name)
  const adapted = ({ query, execute }: Queries): Queries => ({
    query: (text, values) => query(adapt(text), values),
    execute: (script) => execute(adapt(script))
  })
  return {
    ...adapted(database),
    transaction: (work) => database.transaction((queries) => work(adapted(queries))),
    backplane: () => postgres({ pglite, schema: events }),
    close: async () => {}
  }
}

/** Runs statements in psql, as the superuser. */
export async function psql(url: string, sql: string): Promise<void> {
  await run(await pathOf('psql'), ['-X', '-q', '-v', 'ON_ERROR_STOP=1', url, '-c', sql])
}
