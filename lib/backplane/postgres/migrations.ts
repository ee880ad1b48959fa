import { feedSchema } from './feed-schema.js'
import { logSchema } from './log-schema.js'

/** What makes each version of the schema from the one before. */
const STEPS: readonly ((schema: string) => string)[] = [logSchema, feedSchema]

/** The version that this release reads and writes. */
export const VERSION = STEPS.length

/** Two processes that start at once do not migrate at once. Any number that is not another's will do. */
const LOCK = 7_956_010_107

/** The schema of the database is not one that this release can use. Its message says what to do. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError'
}

/**
 * A script that brings a schema to the version of this release, in one transaction.
 *
 * @param from the version that it has, 0 where it is not there
 */
export function migrationScript(schema: string, from: number): string {
  const steps = STEPS.slice(from).map((step) => step(schema))
  return [
    'begin;',
    `select pg_advisory_xact_lock(${LOCK});`,
    `create schema if not exists ${schema};`,
    ...steps,
    `update ${schema}.state set version = ${VERSION};`,
    'commit;',
    ''
  ].join('\n')
}

/** What is used of a connection. */
interface Connection {
  query(text: string, values?: readonly unknown[]): Promise<Record<string, string | null>[]>
  execute(script: string): Promise<void>
}

/**
 * Brings the schema to the version of this release, where it is older or not there.
 *
 * @throws SchemaError where it is newer
 */
export async function migrate(connection: Connection, schema: string): Promise<void> {
  const version = await readVersion(connection, schema)
  checkAge(schema, version)
  if (version === VERSION) return
  try {
    await connection.execute(migrationScript(schema, version))
  } catch (error) {
    await connection.execute('rollback')
    // Another process may have done it meanwhile.
    if ((await readVersion(connection, schema)) !== VERSION) throw error
  }
}

/** @throws SchemaError where it is not of the version of this release */
export async function checkVersion(connection: Connection, schema: string): Promise<void> {
  const version = await readVersion(connection, schema)
  checkAge(schema, version)
  if (version === VERSION) return
  const what =
    version === 0 ? `has no schema ${schema}` : `has version ${version} of the schema ${schema}, not ${VERSION}`
  throw new SchemaError(`the database ${what}; run npx pylon-sse postgres --migrate, or set migrate: true`)
}

function checkAge(schema: string, version: number): void {
  if (version <= VERSION) return
  throw new SchemaError(
    `the schema ${schema} has version ${version}, and this release of pylon-sse knows none after ${VERSION}; update pylon-sse`
  )
}

/** 0 where there is none. */
async function readVersion(connection: Connection, schema: string): Promise<number> {
  const [found] = await connection.query('select to_regclass($1)::text as state', [`${schema}.state`])
  if (found!.state === null) return 0
  const [row] = await connection.query(`select version::text from ${schema}.state`)
  return Number(row!.version)
}
