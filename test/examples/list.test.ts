import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { postgres } from '../../lib/backplane/postgres/postgres.js'
import { exampleFile } from '../kit/example.js'
import { PATIENCE } from '../kit/patience.js'
import { nextLog } from '../kit/postgres-engine.js'
import { serve } from '../kit/server.js'

interface ListExample {
  todos: Map<number, object>
  follow(site: string, signal: AbortSignal): void
}

t.test('the list of docs/postgres.md stays in step with the table', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  // The program has the schema of the log by its usual name: it needs a database of its own.
  await log.server.admin.query('create database list')
  const url = log.server.urlOf('list')
  const pool = new pg.Pool({ connectionString: url })
  t.teardown(() => pool.end())
  let loads = 0
  const read = async () => (await pool.query('select id, title from todos order by id')).rows
  const s = await serve(t, {
    sse: {
      backplane: postgres({ connectionString: url, migrate: true }),
      authorizeTopics: () => ['todos.*'],
      retry: 20
    },
    setup: (app) => {
      app.get('/lists/a/todos', async () => {
        loads++
        return read()
      })
    }
  })
  await pool.query(`
    create table todos (id integer primary key, list_id text, title text, done boolean default false);
    insert into todos values (1, 'a', 'Bread'), (2, 'a', 'Milk');
    select pylon_sse.watch('todos', topic => 'todos.{list_id}', columns => '{id,title}')`)

  const { todos, follow } = (await import(exampleFile('list/list.ts'))) as ListExample
  const page = new AbortController()
  t.teardown(() => page.abort())
  /** Waits until the list is what the table is. */
  const inStep = async (what: string) => {
    const rows = await read()
    const end = Date.now() + PATIENCE
    const list = () => [...todos.entries()].sort(([a], [b]) => a - b)
    const table = rows.map((row) => [row.id, row])
    while (JSON.stringify(list()) !== JSON.stringify(table) && Date.now() < end) await sleep(5)
    t.strictSame(list(), table, what)
  }
  follow(s.url, page.signal)
  await inStep('as it is at first')
  t.equal(loads, 1)

  await pool.query(`insert into todos values (3, 'a', 'Salt'), (4, 'b', 'of another list')`)
  await pool.query(`update todos set title = 'Oat milk' where id = 2`)
  await pool.query('delete from todos where list_id = $1 or id = 1', ['b'])
  await inStep('after an insert, an update and a delete')
  t.equal(loads, 1, 'by events alone')

  const reported = t.capture(console, 'error')
  const lost = [...s.app.sse.clients][0]?.id
  s.app.server.closeAllConnections()
  await pool.query(`update todos set title = 'Sea salt' where id = 3; insert into todos values (5, 'a', 'Rice')`)
  await inStep('after changes while the connection was lost')
  t.not([...s.app.sse.clients][0]?.id, lost, 'on another connection')
  t.equal(loads, 1, 'which resumes')
  t.equal(reported.args().length, 1, 'the lost connection is reported to the console')

  await pool.query('truncate todos')
  await pool.query(`insert into todos values (6, 'a', 'Tea')`)
  await inStep('after a truncate')
  t.equal(loads, 2, 'by loading it again')
  await pool.query(`update todos set title = 'Green tea' where id = 6`)
  await inStep('and goes on')
})
