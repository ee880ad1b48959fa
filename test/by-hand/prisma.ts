// An event in a transaction of Prisma, as docs/postgres.md shows it: `npx tap run test/by-hand/prisma.ts --disable-coverage`. By hand, since
// it downloads Prisma, which has 300 MB, to a temporary folder.

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import t from 'tap'
import type { BackplaneEvent } from '../../lib/backplane/backplane.js'
import { postgres } from '../../lib/backplane/postgres/postgres.js'
import { join } from '../kit/backplane-listener.js'
import { nextLog } from '../kit/postgres-engine.js'

const run = promisify(execFile)
const PACKAGES = ['prisma@7', '@prisma/client@7', '@prisma/adapter-pg@7']

t.setTimeout(300_000)

const SCHEMA = `
  generator client {
    provider = "prisma-client-js"
    output   = "./generated"
  }
  datasource db {
    provider = "postgresql"
  }
  model Todo {
    id    Int    @id @default(autoincrement())
    title String @unique
    @@map("todos")
  }`

t.test('an event can be a part of a transaction of Prisma', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const url = log.server.url
  const backplane = postgres({ connectionString: url, migrate: true })
  t.teardown(() => backplane.close())
  const { listener } = await join(backplane)
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(() => client.end())
  // What fails in the commit fails after the event is published.
  await client.query('create table todos (id serial primary key, title text unique deferrable initially deferred)')

  const folder = await mkdtemp(joinPath(tmpdir(), 'pylon-sse-prisma-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await writeFile(joinPath(folder, 'package.json'), '{}')
  await writeFile(joinPath(folder, 'schema.prisma'), SCHEMA)
  await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...PACKAGES], { cwd: folder })
  await run('npx', ['prisma', 'generate', '--schema', 'schema.prisma'], {
    cwd: folder,
    // `generate` has no use for it, and would download it.
    env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true' }
  })
  const { version } = JSON.parse(await readFile(joinPath(folder, 'node_modules/prisma/package.json'), 'utf8'))
  t.comment(`Prisma ${version}`)
  const page = await readFile(new URL('../../docs/postgres.md', import.meta.url), 'utf8')
  const [example] = /await prisma\.\$transaction[\s\S]*?\n\}\)\n/.exec(page)!
  const program = joinPath(folder, 'add.mjs')
  await writeFile(
    program,
    `import { PrismaPg } from '@prisma/adapter-pg'
    import generated from './generated/client.js'
    const prisma = new generated.PrismaClient({ adapter: new PrismaPg({ connectionString: '${url}' }) })
    export async function addTodo(title) { ${example} }
    export const close = () => prisma.$disconnect()`
  )
  const { addTodo, close } = (await import(pathToFileURL(program).href)) as {
    addTodo(title: string): Promise<void>
    close(): Promise<void>
  }
  t.teardown(close)
  await addTodo('Milk')
  await t.rejects(addTodo('Milk'), 'a commit that fails')
  await addTodo('Bread')
  const heard = (await listener.waitForEntries(2)).map(({ message }) => {
    const { topic, body } = message as BackplaneEvent
    return [topic, ...body.trim().split('\ndata: ')]
  })
  const { rows } = await client.query('select id, title from todos order by id')
  t.strictSame(
    heard,
    rows.map((todo) => ['todos', 'event: todo.created', JSON.stringify(todo)]),
    'what commits is heard, and nothing else'
  )
})
