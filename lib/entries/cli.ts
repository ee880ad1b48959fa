/**
 * The command `pylon-sse`, which bin.ts starts: creates the schema of the Postgres backplane, or prints the statements
 * that do.
 */
import { parseArgs } from 'node:util'
import { connectTo } from '../backplane/postgres/connection.js'
import { reasonOf } from '../backplane/postgres/errors.js'
import { migrate, migrationScript, VERSION } from '../backplane/postgres/migrations.js'
import { checkSchema } from '../backplane/postgres/options.js'

const USAGE = `Usage: npx pylon-sse postgres --migrate | --sql [--from VERSION] [--schema NAME] [URL]

  --migrate        Creates the schema in the database at URL (default: DATABASE_URL), or migrates it to version ${VERSION}.
  --sql            Prints the statements for psql, and connects to nothing.
  --from VERSION   With --sql: the version that the schema has now. Default: 0, there is no schema.
  --schema NAME    Default: pylon_sse.
`

/** Runs a command. @returns the exit code */
export async function main(args: readonly string[], output: Pick<Console, 'log' | 'error'> = console): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        migrate: { type: 'boolean' },
        sql: { type: 'boolean' },
        from: { type: 'string', default: '0' },
        schema: { type: 'string', default: 'pylon_sse' },
        help: { type: 'boolean', short: 'h' }
      }
    })
    const [engine, url = process.env.DATABASE_URL, ...rest] = positionals
    if (values.help || engine !== 'postgres' || rest.length > 0 || values.migrate === values.sql) {
      output.log(USAGE)
      return values.help ? 0 : 2
    }
    checkSchema(values.schema)
    const from = Number(values.from)
    if (!(Number.isInteger(from) && from >= 0 && from <= VERSION))
      throw new Error(`--from takes a version from 0 to ${VERSION}`)
    if (values.sql) output.log(migrationScript(values.schema, from))
    else await migrateAt(url, values.schema, output)
    return 0
  } catch (error) {
    output.error(`pylon-sse: ${reasonOf(error as Error)}`)
    return 1
  }
}

async function migrateAt(url: string | undefined, schema: string, output: Pick<Console, 'log'>): Promise<void> {
  if (url === undefined) throw new Error('it takes the URL of a database, as an argument or in DATABASE_URL')
  const connection = await connectTo(url)(() => {})
  try {
    await migrate(connection, schema)
    output.log(`The schema ${schema} has version ${VERSION}.`)
  } finally {
    await connection.end()
  }
}
