import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import t from 'tap'
import { logSchema } from '../../../lib/backplane/postgres/log-schema.js'
import { VERSION } from '../../../lib/backplane/postgres/migrations.js'
import { main } from '../../../lib/entries/cli.js'
import { join, Listener, PLENTY, parcels } from '../../kit/backplane-listener.js'
import { nextLog } from '../../kit/postgres-engine.js'
import { RUN_SOURCES } from '../../kit/run-sources.js'

/** Runs a command. @returns its exit code, and what it says */
async function run(...args: string[]): Promise<{ code: number; said: string }> {
  const lines: string[] = []
  const say = (line: string) => void lines.push(line)
  const code = await main(args, { log: say, error: say })
  return { code, said: lines.join('\n') }
}

t.test('without a schema the app does not start, and the error says what to do', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const backplane = log.backplane({ migrate: false })
  await t.rejects(backplane.join(PLENTY, new Listener()), {
    code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE',
    message: /has no schema log_\d+; run npx pylon-sse postgres --migrate, or set migrate: true/
  })
  await backplane.close()
})

t.test('a schema of a newer release is refused, and left as it is', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const { server, schema } = log
  const first = log.backplane()
  await join(first)
  await first.close()
  await server.admin.query(`update ${schema}.state set version = 99`)
  for (const migrate of [true, false]) {
    const backplane = log.backplane({ migrate })
    await t.rejects(backplane.join(PLENTY, new Listener()), /has version 99, and this release .* update pylon-sse/)
    await backplane.close()
  }
  t.match(await run('postgres', '--migrate', '--schema', schema, server.url), { code: 1, said: /has version 99/ })
})

t.test('a schema of an older release keeps its events when it is migrated, and is refused until then', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const { server, schema } = log
  const older = `create schema ${schema};${logSchema(schema)};update ${schema}.state set version = 1`
  await server.admin.query(older)
  await server.admin.query(`select ${schema}.publish('"kept"')`)
  const refused = log.backplane({ migrate: false })
  const failure = /has version 1 of the schema .*, not \d+; run npx pylon-sse postgres --migrate/
  await t.rejects(refused.join(PLENTY, new Listener()), failure)
  await refused.close()
  const backplane = log.backplane()
  const { history } = await join(backplane)
  t.match(history, [{ message: { body: 'data: "kept"\n\n' } }])
  await backplane.close()
})

t.test('a user without the right to create the schema is told so', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const { server } = log
  await server.admin.query('create role nobody_special login')
  const backplane = log.backplane({ connectionString: server.urlOf('postgres', 'nobody_special') })
  await t.rejects(backplane.join(PLENTY, new Listener()), /may not do this: permission denied for database/)
  await backplane.close()
})

t.test('processes that start at once create the schema once', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const backplanes = Array.from({ length: 5 }, () => log.backplane())
  const joined = await Promise.all(backplanes.map((backplane) => backplane.join(PLENTY, new Listener())))
  t.equal(new Set(joined.map(({ floor }) => floor)).size, 1)
  await Promise.all(backplanes.map((backplane) => backplane.close()))
})

t.test('npx pylon-sse postgres --migrate creates the schema, and may be run again', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const { server, schema } = log
  for (let i = 0; i < 2; i++) {
    const done = await run('postgres', '--migrate', '--schema', schema, server.url)
    t.same(done, { code: 0, said: `The schema ${schema} has version ${VERSION}.` })
  }
  const backplane = log.backplane({ migrate: false })
  await join(backplane)
  await backplane.publish(parcels('data: 1\n\n'))
  await backplane.close()
})

t.test('npx pylon-sse postgres --sql prints what psql needs to create it', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const { server, schema } = log
  const { code, said } = await run('postgres', '--sql', '--schema', schema)
  t.equal(code, 0)
  await server.admin.query(said)
  const backplane = log.backplane({ migrate: false })
  await join(backplane)
  await backplane.close()
})

t.test('unknown commands are answered with the usage', async (t) => {
  const usage = /Usage: npx pylon-sse postgres/
  t.match(await run(), { code: 2, said: usage })
  t.match(await run('redis', '--migrate'), { code: 2, said: usage })
  t.match(await run('postgres', '--migrate', '--sql'), { code: 2, said: usage })
  t.match(await run('postgres', '--sql', 'a', 'b'), { code: 2, said: usage })
  t.match(await run('--help'), { code: 0, said: usage })
  t.match(await run('postgres', '--what'), { code: 1, said: /--what/ })
  t.match(await run('postgres', '--sql', '--schema', 'A B'), { code: 1, said: /schema/ })
  t.match(await run('postgres', '--sql', '--from', '99'), { code: 1, said: /--from takes/ })
  t.match(await run('postgres', '--migrate', 'postgres://127.0.0.1:1/x'), { code: 1, said: /refused/ })
  const { DATABASE_URL } = process.env
  delete process.env.DATABASE_URL
  t.match(await run('postgres', '--migrate'), { code: 1, said: /DATABASE_URL/ })
  if (DATABASE_URL !== undefined) process.env.DATABASE_URL = DATABASE_URL
})

t.test('the program behind npx exits with the code of its command', async (t) => {
  const program = fileURLToPath(new URL('../../../lib/entries/bin.ts', import.meta.url))
  const child = spawn(process.execPath, [...RUN_SOURCES, program, '--help'], { stdio: 'ignore' })
  t.strictSame(await once(child, 'exit'), [0, null])
})

t.test('a read-only server and a database that is not UTF-8 are refused', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const { server } = log
  await server.admin.query(`create database latin encoding 'LATIN1' template template0`)
  await server.admin.query('create database quiet')
  await server.admin.query('alter database quiet set default_transaction_read_only = on')
  for (const [database, reason] of [
    ['latin', /encoding LATIN1; UTF8 is needed/],
    ['quiet', /takes no writes/],
    ['none', /no such database/]
  ] as const) {
    const backplane = log.backplane({ connectionString: server.urlOf(database) })
    await t.rejects(backplane.join(PLENTY, new Listener()), reason)
    await backplane.close()
  }
  // There is no older server to be had: this client tells of one.
  const client = new pg.Client(server.url)
  await client.connect()
  const query = client.query.bind(client) as (text: string, values?: unknown[]) => Promise<pg.QueryResult>
  const old = Object.assign(client, {
    async query(text: string, values?: unknown[]) {
      const result = await query(text, values)
      for (const row of result.rows) if ('number' in row) Object.assign(row, { number: '130011', version: '13.11' })
      return result
    },
    release: () => void client.end()
  })
  const pool = { connect: async () => old }
  const backplane = log.backplane({ pool, connectionString: undefined })
  await t.rejects(backplane.join(PLENTY, new Listener()), /Postgres 13\.11; 14 or later is needed/)
  await backplane.close()
})
