// The database of the app: a Postgres, or one in this process (PGlite), with the same interface.

import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { openPGlite, postgres } from 'pylon-sse/postgres'

/** Two processes that start at once do not both create the tables. Any number that is not another's will do. */
const LOCK = 7_301_145

/**
 * @typedef {object} Queries
 * @property {(text: string, values?: unknown[]) => Promise<object[]>} query resolves with the rows
 * @property {(script: string) => Promise<void>} execute runs several statements
 *
 * @typedef {Queries & {
 *   transaction: <T>(work: (queries: Queries) => Promise<T>) => Promise<T>,
 *   backplane: () => import('pylon-sse/postgres').Backplane,
 *   close: () => Promise<void>
 * }} Database `backplane` gives an event stream whose log is in this database
 */

/** @param {{ url?: string, dataDir?: string }} where `url` of a Postgres, or else the folder for one in this process */
export function openDatabase({ url, dataDir }) {
  return url ? connectTo(url) : openFolder(dataDir)
}

/** Creates the tables, unless they are there. The schema of pylon-sse must be there already. @param {Database} database */
export async function createTables(database) {
  const schema = await readFile(new URL('schema.sql', import.meta.url), 'utf8')
  await database.transaction(async ({ query, execute }) => {
    await query('select pg_advisory_xact_lock($1)', [LOCK])
    const [{ found }] = await query("select to_regclass('board.tasks') is not null as found")
    if (!found) await execute(schema)
  })
}

/** What signs the cookies. @param {Database} database */
export async function readSecret(database) {
  const [{ secret }] = await database.query('select secret from board.settings')
  return secret
}

function connectTo(connectionString) {
  const pool = new pg.Pool({ connectionString })
  // An idle connection that is lost is replaced when the next one is needed.
  pool.on('error', () => {})
  return {
    ...queriesOf(pool),
    async transaction(work) {
      const client = await pool.connect()
      try {
        await client.query('begin')
        const result = await work(queriesOf(client))
        await client.query('commit')
        client.release()
        return result
      } catch (error) {
        const isGone = await client.query('rollback').then(
          () => false,
          () => true
        )
        client.release(isGone)
        throw error
      }
    },
    backplane: () => postgres({ pool, migrate: true }),
    close: () => pool.end()
  }
}

function queriesOf(client) {
  return {
    query: async (text, values) => (await client.query(text, values)).rows,
    async execute(script) {
      await client.query(script)
    }
  }
}

async function openFolder(dataDir) {
  return shareOf(await openPGlite(dataDir))
}

/** @param {import('@electric-sql/pglite').PGlite} pglite */
export function shareOf(pglite) {
  const queries = (client) => ({
    query: async (text, values) => (await client.query(text, values)).rows,
    async execute(script) {
      await client.exec(script)
    }
  })
  return {
    ...queries(pglite),
    transaction: (work) => pglite.transaction((transaction) => work(queries(transaction))),
    backplane: () => postgres({ pglite }),
    close: () => pglite.close()
  }
}
