import { readFile } from 'node:fs/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import type { BackplaneEvent } from '../../lib/backplane/backplane.js'
import { postgres } from '../../lib/backplane/postgres/postgres.js'
import { join, type Listener, parcels } from '../kit/backplane-listener.js'
import { type Example, exampleFile, startExamples } from '../kit/example.js'
import { nextLog } from '../kit/postgres-engine.js'
import type { PostgresServer } from '../kit/postgres-server.js'

/** What the documentation shows takes the schema by its usual name: in a database of its own. */
async function withDatabase(
  t: Test,
  name: string,
  run: (database: { server: PostgresServer; url: string; client: pg.Client; listener: Listener }) => Promise<void>
) {
  const log = await nextLog()
  if (log === undefined) return
  const { server } = log
  await server.admin.query(`create database ${name}`)
  const url = server.urlOf(name)
  const backplane = postgres({ connectionString: url, migrate: true })
  t.teardown(() => backplane.close())
  const { listener } = await join(backplane)
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(() => client.end())
  await run({ server, url, client, listener })
}

t.test('all statements in docs/postgres.md can be run in their order, and do what the page says', (t) =>
  withDatabase(t, 'documentation', async ({ server, client, listener }) => {
    const page = await readFile(new URL('../../docs/postgres.md', import.meta.url), 'utf8')
    const blocks = [...page.matchAll(/^```sql\n([\s\S]*?)^```$/gm)].map(([, sql]) => sql!)
    t.ok(blocks.length >= 5, `${blocks.length} blocks`)
    await client.query('create role app login; create role worker login; create role owner login')
    await client.query('create table todos (id integer primary key, list_id text, title text, done boolean)')
    for (const sql of blocks) {
      await t.resolves(
        client.query(sql.replaceAll('$1', `'client-1'`)),
        sql.replace('begin;\n', '').split('\n', 1).join('')
      )
    }
    const heard = (await listener.waitForEntries(5)).map(({ message }) => {
      const { topic, id, except, body } = message as BackplaneEvent
      return { topic, id, except, lines: body.trim().split('\n') }
    })
    t.strictSame(heard.slice(0, 5), [
      {
        topic: 'todos.7',
        id: undefined,
        except: undefined,
        lines: ['event: todo.created', 'data: {"id":7}']
      },
      {
        topic: 'todos.7',
        id: 'todo-7-1',
        except: '...',
        lines: ['event: todo.created', 'data: {"id":7}']
      },
      { topic: undefined, id: undefined, except: undefined, lines: ['data: {"id": 7}'] },
      { topic: undefined, id: undefined, except: undefined, lines: ['data: plain text'] },
      {
        topic: 'todos.7',
        id: undefined,
        except: undefined,
        lines: ['event: todo.renamed', 'data: {"id":7}']
      }
    ])

    const connectionString = server.urlOf('documentation', 'app')
    const backplane = postgres({ connectionString })
    t.teardown(() => backplane.close())
    const { history } = await join(backplane)
    t.equal(history.length, 5, 'the role app can read')
    await backplane.publish(parcels('data: by the app\n\n'))
    const worker = new pg.Client(server.urlOf('documentation', 'worker'))
    await worker.connect()
    t.teardown(() => worker.end())
    await worker.query(`select pylon_sse.publish('"by a worker"')`)
    await worker.query(`select pylon_sse.publish('{"by":"a worker"}'::jsonb)`)
    await listener.waitForEntries(8)
    await t.rejects(worker.query('select * from pylon_sse.events'), /permission denied/, 'and a worker only publishes')
    await t.rejects(worker.query(`select pylon_sse.trim(0, null, 1)`), /permission denied/)
    const app = new pg.Client(connectionString)
    await app.connect()
    t.teardown(() => app.end())
    await t.resolves(app.query('select pylon_sse.cursor(), pylon_sse.last_cursor()'))
  })
)

t.test('an event can be a part of a transaction of the query builders that docs/postgres.md names', (t) =>
  withDatabase(t, 'builders', async ({ url, client, listener }) => {
    // What fails in the commit fails after the event is published.
    await client.query('create table todos (id serial primary key, title text unique deferrable initially deferred)')
    process.env.DATABASE_URL = url
    t.teardown(() => delete process.env.DATABASE_URL)
    let count = 0
    for (const name of ['drizzle', 'knex', 'kysely', 'postgres-js']) {
      const { addTodo, close } = (await import(exampleFile(`query-builders/${name}.js`))) as {
        addTodo(title: string): Promise<void>
        close(): Promise<void>
      }
      t.teardown(close)
      await addTodo(name)
      await t.rejects(addTodo(name), `${name}: a commit that fails`)
      await addTodo(`${name} again`)
      count += 2
      const heard = (await listener.waitForEntries(count)).slice(count - 2).map(({ message }) => {
        const { topic, body } = message as BackplaneEvent
        return [topic, ...body.trim().split('\ndata: ')]
      })
      const { rows } = await client.query('select id, title from todos order by id desc limit 2')
      t.strictSame(
        heard,
        rows.reverse().map((todo) => ['todos', 'event: todo.created', JSON.stringify(todo)]),
        `${name}: what commits is heard, and nothing else`
      )
    }

    const { examples } = await startExamples(t, ['postgres/server.js', { DATABASE_URL: url }])
    const [app] = examples as [Example]
    const reader = await app.listen('/events', { topics: ['todos'] })
    const addTodo = (title: string) => app.call('POST', '/todos', { title })
    t.equal((await addTodo('knex')).status, 500, 'a commit that fails')
    const todo = await (await addTodo('Milk')).json()
    const { event, data } = await reader.next()
    t.strictSame([event, data], ['todo.created', todo])
  })
)
