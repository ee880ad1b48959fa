import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { PGlite } from '@electric-sql/pglite'
import t from 'tap'
import { backplaneContract } from '../../../lib/backplane/contract/contract.js'
import { openAt } from '../../../lib/backplane/postgres/pglite.js'
import { openPGlite, postgres } from '../../../lib/backplane/postgres/postgres.js'
import { bodiesOf, join, parcels } from '../../kit/backplane-listener.js'
import { RUN_SOURCES } from '../../kit/run-sources.js'

// To open a PGlite takes seconds of CPU: one process makes the folder, and is killed, and all tests are done with what it leaves.
t.setTimeout(600_000)

const dataDir = await mkdtemp(joinPath(tmpdir(), 'pylon-sse-pglite-'))
t.teardown(() => rm(dataDir, { recursive: true, force: true }))
const program = fileURLToPath(new URL('../../kit/pglite-process.ts', import.meta.url))

t.test('acknowledged events survive kill -9, and the ids continue', async (t) => {
  const cursors: string[] = []
  const child = fork(program, [dataDir], { execArgv: RUN_SOURCES })
  child.on('message', (cursor: string) => cursors.push(cursor))
  while (cursors.length === 0) await once(child, 'message')
  await t.rejects(openPGlite(dataDir), /the folder .* is in use: only one process may have it open/)
  while (cursors.length < 25) await once(child, 'message')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const backplane = postgres({ dataDir })
  const { history } = await join(backplane)
  const there = history.map(({ cursor }) => cursor)
  t.strictSame(
    cursors,
    there.filter((cursor) => cursors.includes(cursor)),
    'in their order'
  )
  const [next] = await backplane.publish(parcels('data: next\n\n'))
  const [epoch, place] = there.at(-1)!.split('-')
  // A crash leaves a hole in a sequence.
  t.equal(next!.split('-')[0], epoch)
  t.ok(Number(next!.split('-')[1]) > Number(place))
  await backplane.close()
})

t.test('postgres in a PGlite of the app passes the contract suite', async (t) => {
  const pglite = await openPGlite<PGlite>(dataDir)
  t.teardown(() => pglite.close())
  let logs = 0
  const cases = backplaneContract({
    async begin() {
      logs++
    },
    connect: () => postgres({ pglite, schema: `log_${logs}` }),
    async replace() {
      await pglite.exec(`drop schema log_${logs} cascade`)
    }
  })
  // All of them hold, and would take a minute.
  const short = /comes to all|every field|was deleted|published again is told/
  for (const { name, run } of cases.filter(({ name }) => short.test(name))) await t.test(name, run)

  await t.test('an event can be part of a transaction, and changes of a watched table are published', async (t) => {
    logs++
    const backplane = postgres({ pglite, schema: `log_${logs}` })
    const { listener } = await join(backplane)
    await pglite.exec('create table todos (id integer primary key, title text)')
    await pglite.exec(`select log_${logs}.watch('todos', topic => 'todos', columns => '{title}')`)
    await pglite.transaction(async (transaction) => {
      await backplane.publishWithin!(transaction, { kind: 'event', body: 'data: 1\n\n' })
      await transaction.query(`insert into todos values (7, 'Milk')`)
    })
    const bodies = bodiesOf(await listener.waitForEntries(2))
    t.equal(bodies[0], 'data: 1\n\n')
    t.match(bodies[1], /"row_id": 7/)
    await pglite.exec('alter table todos add done boolean')
    await pglite.exec('truncate todos')
    await pglite.exec('drop table todos')
    for (const body of bodiesOf(await listener.waitForEntries(5)).slice(2)) t.match(body, /"kind": "resync"/)
    await backplane.close()
    t.strictSame((await pglite.query('select 1 as one')).rows, [{ one: 1 }], 'it is left open')
  })
})

t.test('a folder that could not be opened is unlocked again, and a PGlite without one needs none', async (t) => {
  const fail = (message: string) => async () => ({ PGlite: { create: () => Promise.reject(new Error(message)) } })
  const open = (where: string, message: string) => openAt(where, fail(message))(() => {})
  for (const message of ['broken', 'broken again']) await t.rejects(open(dataDir, message), { message })
  await t.rejects(open('memory://', 'no folder'), { message: 'no folder' })
})

t.test('a folder that cannot be locked is not opened', async (t) => {
  const { TMPDIR } = process.env
  process.env.TMPDIR = joinPath(dataDir, 'nowhere')
  t.teardown(() => {
    if (TMPDIR === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = TMPDIR
  })
  await t.rejects(openPGlite(dataDir), /nowhere/)
})
