// Migrations of the schema, and checks of its version. The SQL of the versions is in log-schema.ts, feed-schema.ts and feed-changes-schema.ts.

import { feedChangesSchema } from './feed-changes-schema.js'
import { feedSchema } from './feed-schema.js'
import { logSchema } from './log-schema.js'

/** The scripts that make each version of the schema out of the version before. */
const STEPS: readonly ((schema: string) => string)[] = [logSchema, feedSchema, feedChangesSchema]

/** The version of the schema that this release uses. */
export const VERSION = STEPS.length

/** Key of the advisory lock that lets one process migrate at a time. The number is arbitrary. */
const LOCK = 7_956_010_107

/** Thrown if this release cannot use the schema of the database. The message says what to do. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError'
}

/**
 * A script that migrates a schema to the version of this release, in one transaction.
 *
 * @param from the current version; 0 if there is no schema
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

/** The part of a connection that migrations use. */
interface Connection {
  query(text: string, values?: readonly unknown[]): Promise<Record<string, string | null>[]>
  execute(script: string): Promise<void>
}

/**
 * Creates the schema, or migrates it to the version of this release.
 *
 * @throws SchemaError if the schema is newer than this release
 */
export async function migrate(connection: Connection, schema: string): Promise<void> {
  const version = await readVersion(connection, schema)
  checkAge(schema, version)
  if (version === VERSION) return
  try {
    await connection.execute(migrationScript(schema, version))
  } catch (error) {
    await connection.execute('rollback')
    // Another process may have migrated the schema meanwhile.
    if ((await readVersion(connection, schema)) !== VERSION) throw error
  }
}

/** @throws SchemaError if the schema is missing, older or newer than this release */
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

/** The version of the schema; 0 if there is none. */
async function readVersion(connection: Connection, schema: string): Promise<number> {
  const [found] = await connection.query('select to_regclass($1)::text as state', [`${schema}.state`])
  if (found!.state === null) return 0
  const [row] = await connection.query(`select version::text from ${schema}.state`)
  return Number(row!.version)
}
