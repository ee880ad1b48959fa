import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import t from 'tap'
import { feedSchema } from '../../../lib/backplane/postgres/feed-schema.js'
import { logSchema } from '../../../lib/backplane/postgres/log-schema.js'
import { join } from '../../kit/backplane-listener.js'
import { nextLog } from '../../kit/postgres-engine.js'
import { withTable } from '../../kit/postgres-feed.js'
import { pathOf } from '../../kit/postgres-server.js'

const exec = promisify(execFile)

withTable('truncate and changes of the schema are told to the topics of the rows', async (t, feed, todos) => {
  const { schema: s, run, next, resyncs, loss } = feed
  await run(`select ${s}.watch('${todos}', topic => 'todos.{list_id}', columns => '{title}')`)
  await run(`insert into ${todos} (id, list_id) values (1, 'a'), (2, 'a'), (3, 'b')`)
  await next(3)
  await run(`alter table ${todos} add column more text`)
  t.strictSame(await resyncs(2), ['todos.a', 'todos.b'])
  await run(`alter table ${todos} rename column title to name`)
  t.strictSame(await resyncs(2), ['todos.a', 'todos.b'])
  await run(`truncate ${todos}`)
  t.strictSame(await resyncs(2), ['todos.a', 'todos.b'])
  await run(`select ${s}.watch('${todos}', topic => 'todos')`)
  await run(`truncate ${todos}`)
  t.strictSame(await resyncs(1), ['todos'], 'a topic without a column is told, whatever rows there are')
  await run(`select ${s}.watch('${todos}', topic => 'todos.{list_id}')`)
  await run(`alter table ${todos} rename column list_id to other`)
  await loss()
})

withTable('a watched table that is dropped or renamed is told, and keeps its name', async (t, feed, todos) => {
  const { schema: s, run, next, resyncs, loss } = feed
  await run(`select ${s}.watch('${todos}', topic => 'todos.{list_id}')`)
  await run(`insert into ${todos} values (1, 'a')`)
  await next(1)
  await run(`alter table ${todos} rename to ${todos}_other`)
  t.strictSame(await resyncs(1), ['todos.a'])
  await run(`insert into ${todos}_other values (2, 'b')`)
  t.match(await next(1), [{ entity: todos, kind: 'insert' }])
  await run(`drop table ${todos}_other`)
  await loss()
  const { rows } = await feed.server.admin.query(`select count(*)::integer as count from ${s}.watches`)
  t.same(rows, [{ count: 0 }])
  await run(`create schema ${s}_app; create table ${s}_app.${todos} (id integer primary key)`)
  await run(`select ${s}.watch('${s}_app.${todos}', topic => 'todos')`)
  await run(`drop schema ${s}_app cascade`)
  t.strictSame(await resyncs(1), ['todos'])
})

withTable('rows that a change of the schema moves to other topics are told to all', async (t, feed, todos) => {
  const { schema: s, run, next, resyncs, loss } = feed
  await run(`select ${s}.watch('${todos}', topic => 'todos.{list_id}')`)
  await run(`insert into ${todos} values (1, 'a')`)
  await next(1)
  await run(`alter table ${todos} alter list_id type varchar using 'x' || list_id`)
  await loss()
  t.strictSame(await resyncs(1), ['todos.xa'])
  await run(`create type ${s}_kind as enum ('one'); alter table ${todos} add kind ${s}_kind`)
  await resyncs(1)
  await run(`drop type ${s}_kind cascade`)
  t.strictSame(await resyncs(1), ['todos.xa'], 'a column that is dropped with its type is told, too')
})

withTable(
  'the rows of a table of more than 8 MiB are not read for their topics: all are told',
  async (_t, feed, todos) => {
    const { schema: s, run, loss } = feed
    await run(`insert into ${todos} select n, 'a', repeat('x', 1000) from generate_series(1, 9000) n`)
    await run(`select ${s}.watch('${todos}', topic => 'todos.{list_id}')`)
    await run(`truncate ${todos}`)
    await loss()
  }
)

withTable('a partition is told that is truncated, attached, detached or dropped', async (t, feed, todos) => {
  const { schema: s, run, next, resyncs, loss } = feed
  await run(`drop table ${todos}`)
  await run(`create table ${todos} (id integer, list_id text, primary key (id)) partition by range (id)`)
  await run(`create table ${todos}_1 partition of ${todos} for values from (0) to (10)`)
  await run(`create table ${todos}_2 partition of ${todos} for values from (10) to (20) partition by range (id)`)
  await run(`select ${s}.watch('${todos}', topic => 'todos.{list_id}')`)
  await run(`create table ${todos}_2_1 partition of ${todos}_2 for values from (10) to (15)`)
  await run(`insert into ${todos} values (1, 'a'), (11, 'b'), (2, 'c')`)
  t.match(await next(3), [
    { entity: todos, topic: 'todos.a' },
    { topic: 'todos.b' },
    { entity: todos, topic: 'todos.c' }
  ])
  await run(`truncate ${todos}`)
  t.strictSame(await resyncs(3), ['todos.a', 'todos.b', 'todos.c'], 'once, and not for each partition')
  await run(`insert into ${todos} values (1, 'a'), (11, 'b')`)
  await next(2)
  await run(`truncate ${todos}_2`)
  t.strictSame(await resyncs(1), ['todos.b'], 'a partition that came later')
  await run(`alter table ${todos} detach partition ${todos}_1`)
  t.strictSame(await resyncs(1), ['todos.a'])
  await run(`truncate ${todos}_1; insert into ${todos}_1 values (3, 'd')`)
  await run(`alter table ${todos} attach partition ${todos}_1 for values from (0) to (10)`)
  t.strictSame(await resyncs(1), ['todos.d'], 'what it does meanwhile is not told')
  await run(`alter table ${todos} detach partition ${todos}_1 concurrently`)
  t.strictSame(await resyncs(1), ['todos.d'])
  await run(`alter table ${todos} attach partition ${todos}_1 for values from (0) to (10)`)
  t.strictSame(await resyncs(1), ['todos.d'])
  await run(`alter table ${todos}_1 set (fillfactor = 90)`)
  await run(`truncate ${todos}_1`)
  t.strictSame(await resyncs(1), ['todos.d'])
  await run(`drop table ${todos}_2_1`)
  await loss()
  await run(`insert into ${todos} values (1, 'a')`)
  await next(1)
  await run(`select ${s}.unwatch('${todos}'); truncate ${todos}_1; truncate ${todos}`)
  await run(`select ${s}.watch('${todos}_2', topic => 'second')`)
  await run(
    `create table ${todos}_2_2 partition of ${todos}_2 for values from (15) to (20); insert into ${todos} values (15, 'e')`
  )
  t.match(await next(1), [{ topic: 'second', row_id: 15, kind: 'insert' }], 'a partition can be watched by itself')
})

withTable(
  'whoever may not create event triggers is told by a notice, and hears all but changes of the schema',
  async (t, feed, todos) => {
    const { schema: s, run, server, next, resyncs } = feed
    const owner = `${s}_owner`
    const page = await readFile(new URL('../../../docs/postgres.md', import.meta.url), 'utf8')
    const [, grants] = /(grant usage on schema pylon_sse to owner;[^`]*)```/.exec(page)!
    await run(`create role ${owner} login; alter table ${todos} owner to ${owner}`)
    await run(grants!.replaceAll('pylon_sse', s).replaceAll('to owner', `to ${owner}`))
    t.teardown(() => run(`drop owned by ${owner} cascade; drop role ${owner}`))
    const client = new pg.Client(server.urlOf('postgres', owner))
    const notices: string[] = []
    client.on('notice', ({ message }) => notices.push(message!))
    await client.connect()
    await client.query(`select ${s}.watch('${todos}', topic => 'todos.{list_id}')`)
    t.match(
      notices.at(-1),
      /changes of the table's schema will not be told: a superuser has to create the event triggers/
    )
    await client.query(`insert into ${todos} values (1, 'a')`)
    await next(1)
    await client.query(`alter table ${todos} add more text`)
    await client.query(`truncate ${todos}`)
    t.strictSame(await resyncs(1), ['todos.a'])
    await run(`select ${s}.watch_schema()`)
    await client.query(`insert into ${todos} values (1, 'a')`)
    await next(1)
    const told = notices.length
    await client.query(`alter table ${todos} drop more`)
    t.strictSame(await resyncs(1), ['todos.a'], 'then a superuser did it')
    await client.query(`alter table ${todos} drop list_id`)
    t.match(notices.slice(told).join(), /the change feed of the table .*_todos lacks the column list_id/)
    await client.query('create temporary table other (id integer); alter table other add more text; drop table other')
    await client.end()
  }
)

withTable('statements that change a schema succeed, whatever becomes of the feeds', async (t, feed, todos) => {
  const { schema: s, run, server } = feed
  await run(`select ${s}.watch('${todos}', topic => 'todos.{list_id}')`)
  await run(`alter table ${s}.watches rename to gone`)
  await t.resolves(
    run(
      `alter table ${todos} add more text; alter table ${todos} alter id type bigint; create table ${todos}_x (id integer)`
    )
  )
  await t.resolves(run(`drop table ${todos}_x, ${todos}`))
  await t.resolves(run(`drop schema ${s} cascade`))
  const { rows } = await server.admin.query(`select evtname from pg_event_trigger where evtname like '${s}\\_%'`)
  t.same(rows, [], 'the event triggers are dropped with the schema')
  await t.resolves(run(`create table ${todos} (id integer); drop table ${todos}`))
})

t.test('a dump of a database with watched tables can be restored, and its feeds go on', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const { server, schema: s } = log
  for (const name of ['from', 'to']) await server.admin.query(`create database ${s}_${name}`)
  const at = (database: string) => log.backplane({ connectionString: server.urlOf(database) })
  const first = at(`${s}_from`)
  await join(first)
  await first.close()
  const from = new pg.Client(server.urlOf(`${s}_from`))
  await from.connect()
  await from.query(`create table todos (id integer primary key, list_id text) partition by range (id);
    create table todos_1 partition of todos for values from (0) to (10)`)
  await from.query(`select ${s}.watch('todos', topic => 'todos.{list_id}'); insert into todos values (1, 'a')`)
  await from.end()
  const { stdout: dump } = await exec(await pathOf('pg_dump'), [server.urlOf(`${s}_from`)])
  const to = new pg.Client(server.urlOf(`${s}_to`))
  await to.connect()
  const psql = execFile(await pathOf('psql'), ['-qX', '-v', 'ON_ERROR_STOP=1', server.urlOf(`${s}_to`)])
  psql.stdin!.end(dump)
  t.equal(await new Promise((resolve) => psql.once('exit', resolve)), 0)
  const backplane = at(`${s}_to`)
  t.teardown(() => backplane.close())
  const { listener, history } = await join(backplane)
  t.match(
    history.map(({ message }) => message.body),
    [/"kind": "insert"/]
  )
  await to.query('truncate todos_1')
  await to.query('drop table todos')
  await to.end()
  const entries = await listener.waitForEntries(2)
  t.match(entries, [{ message: { topic: 'todos.a', body: /"kind": "resync"/ } }, { message: { kind: 'loss' } }])
})

t.test('feeds of an older schema tell such changes, too, when it is migrated', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const { server, schema: s } = log
  const { admin } = server
  await admin.query(`create schema ${s}; ${logSchema(s)}; ${feedSchema(s)}; update ${s}.state set version = 2`)
  const todos = `${s}_todos`
  await admin.query(`create table ${todos} (id integer primary key) partition by range (id);
    create table ${todos}_1 partition of ${todos} for values from (0) to (10);
    create table ${s}_stale (id integer primary key, gone text)`)
  await admin.query(
    `select ${s}.watch('${todos}', topic => 'todos'), ${s}.watch('${s}_stale', topic => 'stale', columns => '{gone}')`
  )
  await admin.query(`alter table ${s}_stale drop gone; insert into ${todos} values (1)`)
  const backplane = log.backplane()
  t.teardown(async () => {
    await backplane.close()
    await admin.query(`drop table ${todos}`)
    await admin.query(`drop schema ${s} cascade`)
  })
  const { listener, history } = await join(backplane)
  t.match(
    history.map(({ message }) => message.body),
    [/"kind": "resync"/, /"kind": "insert"/]
  )
  await admin.query(`truncate ${todos}_1; insert into ${s}_stale values (1); drop table ${s}_stale`)
  t.match(await listener.waitForEntries(3), [
    { message: { topic: 'todos', body: /"entity": ".*_todos".*"resync"|"resync".*"entity": ".*_todos"/ } },
    { message: { topic: 'stale', body: /"insert"/ } },
    { message: { topic: 'stale', body: /"resync"/ } }
  ])
})
