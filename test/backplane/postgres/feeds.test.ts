import type { BackplaneEvent } from '../../../lib/backplane/backplane.js'
import { withTable } from '../../kit/postgres-feed.js'

withTable(
  'a change of a watched row, by any program, reaches its topic with the columns that were named',
  async (t, feed, todos) => {
    const { schema: s, run, next } = feed
    await run(`select ${s}.watch('${todos}', topic => 'todos.{list_id}', columns => '{id,title,done}')`)
    await run(`insert into ${todos} values (1, 'a', 'Milk', false, 'x'), (2, 'b', 'Bread', false, 'y')`)
    const entity = todos
    t.strictSame(await next(2), [
      { topic: 'todos.a', entity, row_id: 1, kind: 'insert', data: { id: 1, title: 'Milk', done: false } },
      { topic: 'todos.b', entity, row_id: 2, kind: 'insert', data: { id: 2, title: 'Bread', done: false } }
    ])
    await run(`update ${todos} set secret = 'z', title = title`)
    await run(`begin; update ${todos} set done = true; rollback`)
    await run(`update ${todos} set done = true where id = 1`)
    t.strictSame(
      await next(1),
      [{ topic: 'todos.a', entity, row_id: 1, kind: 'update', data: { id: 1, title: 'Milk', done: true } }],
      'an update of other columns says nothing, nor does one that is rolled back'
    )
    await run(`update ${todos} set list_id = 'b' where id = 1`)
    t.strictSame(
      await next(2),
      [
        { topic: 'todos.a', entity, row_id: 1, kind: 'delete', data: null },
        { topic: 'todos.b', entity, row_id: 1, kind: 'insert', data: { id: 1, title: 'Milk', done: true } }
      ],
      'a row that moves is deleted there and inserted here'
    )
    await run(`update ${todos} set id = 3 where id = 1`)
    t.match(await next(2), [
      { row_id: 1, kind: 'delete' },
      { row_id: 3, kind: 'insert', data: { id: 3 } }
    ])
    await run(`delete from ${todos} where id = 3`)
    t.strictSame(await next(1), [{ topic: 'todos.b', entity, row_id: 3, kind: 'delete', data: null }])
    await run(`select ${s}.unwatch('${todos}')`)
    await run(`delete from ${todos}`)
    await run(`select ${s}.publish('1', event => 'change')`)
    t.equal((await feed.listener.waitForEntries(9)).length, 9, 'a table that is not watched any more says nothing')
  }
)

withTable('without columns a change has only the key', async (t, { schema: s, run, next }, todos) => {
  await run(`select ${s}.watch('${todos}', topic => 'todos')`)
  await run(`insert into ${todos} values (1, 'a', 'Milk', false, 'x')`)
  await run(`update ${todos} set secret = 'y'`)
  const changes = await next(2)
  t.match(changes, [{ kind: 'insert' }, { kind: 'update' }])
  for (const change of changes) t.match(change, { topic: 'todos', row_id: 1 })
  t.strictSame(
    (changes as { data: object }[]).map(({ data }) => data),
    [{ id: 1 }, { id: 1 }]
  )
})

withTable(
  'a value cannot add words to a topic, and a null makes no event',
  async (t, { schema: s, run, next }, todos) => {
    await run(`select ${s}.watch('${todos}', topic => 'todos.{list_id}')`)
    await run(
      `insert into ${todos} (id, list_id) values (1, 'a.b'), (2, '*'), (3, null), (4, E'x\\ny'), (5, '{id}'), (6, repeat('ä', 300))`
    )
    const topics = ((await next(5)) as { topic: string }[]).map(({ topic }) => topic)
    t.strictSame(topics.slice(0, 4), ['todos.a%2Eb', 'todos.%2A', 'todos.x%y', 'todos.%7Bid%7D'])
    t.match(topics[4], /^todos\.[0-9a-f]{32}$/)
  }
)

withTable('a large row is published as its key and a mark', async (t, { schema: s, run, next }, todos) => {
  await run(`select ${s}.watch('${todos}', topic => 'todos', columns => '{title}')`)
  await run(`insert into ${todos} (id, title) values (1, repeat('x', 70000))`)
  t.strictSame(await next(1), [
    { topic: 'todos', entity: todos, row_id: 1, kind: 'insert', data: { id: 1 }, truncated: true }
  ])
})

withTable(
  'a key of several columns arrives as an object, and a table without a key is refused',
  async (t, feed, todos) => {
    const { schema: s, run, next } = feed
    await run(`create table ${todos}_pairs (a integer, b integer, c text, primary key (b, a))`)
    t.teardown(() => run(`drop table ${todos}_pairs`))
    await run(`select ${s}.watch('${todos}_pairs', topic => 'pairs', columns => '{c}')`)
    await run(`insert into ${todos}_pairs values (1, 2, 'x')`)
    t.match(await next(1), [{ row_id: { a: 1, b: 2 }, data: { a: 1, b: 2, c: 'x' } }])
    await run(`create table ${todos}_loose (a integer)`)
    t.teardown(() => run(`drop table ${todos}_loose`))
    await t.rejects(run(`select ${s}.watch('${todos}_loose', topic => 'x')`), /has no primary key/)
    await run(`select ${s}.watch('${todos}_loose', topic => 'x', key => '{a}')`)
    await t.rejects(run(`select ${s}.watch('${todos}', topic => 'x.{nope}')`), /has no column nope/)
    await t.rejects(run(`select ${s}.watch('${todos}', topic => 'x.*')`), /topic got/)
    await t.rejects(
      run(`select ${s}.watch('${todos}', topic => 'x', columns => '{password}')`),
      /has no column password/
    )
  }
)

withTable('a client that a transaction excepts does not get its changes', async (t, feed, todos) => {
  const { schema: s, run, next, listener } = feed
  await run(`select ${s}.watch('${todos}', topic => 'todos')`)
  const named = `select set_config('${s}.except_client', 'client-1', true)`
  await run(`begin; ${named}; insert into ${todos} (id) values (1); commit; insert into ${todos} (id) values (2)`)
  await next(2)
  const excepted = listener.entries.map(({ message }) => (message as BackplaneEvent).except)
  t.strictSame(excepted, ['client-1', undefined])
})

withTable('a cursor that is read with rows tells which changes they include', async (t, feed, todos) => {
  const { schema: s, listener, server } = feed
  await feed.run(`select ${s}.watch('${todos}', topic => 'todos')`)
  const WRITERS = 4
  const EACH = 25
  const write = async (writer: number) => {
    for (let i = 1; i <= EACH; i++) {
      const id = writer * EACH + i
      await server.admin.query(`insert into ${todos} (id) values (${id}), (${-id})`)
    }
  }
  let isWriting = true
  const reads: { cursor: string; count: number }[] = []
  const read = async () => {
    while (isWriting) {
      const sql = `select ${s}.cursor() as cursor, count(*)::integer as count from ${todos}`
      reads.push((await server.admin.query(sql)).rows[0])
    }
  }
  const reading = read()
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)))
  isWriting = false
  await reading
  const entries = await listener.waitForEntries(2 * WRITERS * EACH)
  const places = entries.map(({ cursor }) => numberOf(cursor))
  for (const { cursor, count } of reads) {
    t.equal(places.filter((place) => place <= numberOf(cursor)).length, count)
  }
  t.ok(new Set(reads.map(({ count }) => count)).size > 3, 'while they were written')
})

withTable('a transaction can get the cursor of its last event before it commits', async (t, feed) => {
  const { schema: s, listener, server } = feed
  const client = await server.admin.connect()
  t.teardown(() => client.release())
  const publish = (n: number) => client.query(`select ${s}.publish('${n}')`)
  const lastCursor = async () => (await client.query(`select ${s}.last_cursor() as last`)).rows[0].last
  await client.query('begin')
  t.equal(await lastCursor(), null, 'null where it has published nothing')
  await publish(1)
  await publish(2)
  const second = await lastCursor()
  await publish(3)
  await client.query('savepoint s')
  await publish(4)
  await lastCursor()
  await client.query('rollback to savepoint s')
  const third = await lastCursor()
  await client.query('commit')
  await client.query('begin')
  t.equal(await lastCursor(), null, 'nor has the next one')
  await client.query('rollback')
  await publish(5)
  const cursors = (await listener.waitForEntries(4)).map(({ cursor }) => cursor)
  t.strictSame([second, third], [cursors[1], cursors[2]])
})

function numberOf(cursor: string): number {
  return Number(cursor.split('-')[1])
}
