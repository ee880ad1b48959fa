import pg from 'pg'
import t, { type Test } from 'tap'
import type { Backplane } from '../../../lib/backplane/backplane.js'
import { type PgPool, postgres } from '../../../lib/backplane/postgres/postgres.js'
import { Trimmer } from '../../../lib/backplane/postgres/trimmer.js'
import { bodiesOf, join, Listener, PLENTY, parcels } from '../../kit/backplane-listener.js'
import { withLog } from '../../kit/postgres-engine.js'
import { eventually } from '../../kit/processes.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

/** Until the end of the test. */
function closing(t: Test, backplane: Backplane): Backplane {
  t.teardown(() => backplane.close())
  return backplane
}

function frames(count: number, from = 1): string[] {
  return Array.from({ length: count }, (_, i) => `data: ${from + i}\n\n`)
}

withLog('a backplane can be joined once', async (t, log) => {
  const backplane = closing(t, log.backplane())
  await join(backplane)
  await t.rejects(backplane.join(PLENTY, new Listener()), /joined already/)
})

withLog('a process has one connection, and none after it has closed', async (t, log) => {
  const count = async () => (await log.server.connectionNames()).filter((name) => name === 'pylon-sse').length
  await eventually(async () => (await count()) === 0, 'those of others are gone')
  const backplane = log.backplane()
  const { listener } = await join(backplane)
  await backplane.publish(parcels(...frames(3)))
  await listener.waitForEntries(3)
  t.equal(await count(), 1)
  await backplane.close()
  await eventually(async () => (await count()) === 0, 'it is gone')
})

withLog('the client of pg gets one query at a time', async (t, log) => {
  const pool = new pg.Pool({ connectionString: log.server.url })
  t.teardown(() => pool.end())
  let asking = 0
  let most = 0
  const counting = {
    async connect() {
      const client = await pool.connect()
      const query = client.query.bind(client) as (...args: unknown[]) => Promise<{ rows: unknown[] }>
      return Object.assign(client, {
        async query(...args: unknown[]) {
          most = Math.max(most, ++asking)
          return query(...args).finally(() => asking--)
        }
      })
    }
  }
  const backplane = postgres({ pool: counting as unknown as PgPool, schema: log.schema, migrate: true })
  const { listener } = await join(backplane)
  const publishing = Array.from({ length: 20 }, (_, n) => backplane.publish(parcels(`data: ${n}\n\n`)))
  await Promise.all(publishing)
  await listener.waitForEntries(20)
  await backplane.close()
  t.equal(most, 1)
})

withLog("one client of the app's pool is used and given back, and the pool stays open", async (t, log) => {
  const pool = new pg.Pool({ connectionString: log.server.url, max: 2 })
  t.teardown(() => pool.end())
  const backplane = closing(t, log.backplane({ pool, connectionString: undefined }))
  const { listener } = await join(backplane)
  t.equal(pool.totalCount - pool.idleCount, 1)
  await backplane.publish(parcels(...frames(3)))
  await listener.waitForEntries(3)
  t.equal(pool.totalCount - pool.idleCount, 1)
  await backplane.close()
  t.equal(pool.totalCount - pool.idleCount, 0)
  t.equal((await pool.query('select 1 as one')).rows[0].one, 1)
})

withLog(
  'an exhausted pool counts as an engine out of reach, and gets a client back that comes too late',
  async (t, log) => {
    const pool = new pg.Pool({ connectionString: log.server.url, max: 1 })
    const taken = await pool.connect()
    const backplane = log.backplane({ pool, connectionString: undefined })
    await t.rejects(backplane.join(PLENTY, new Listener()), /has not answered for 3000 ms/)
    await backplane.close()
    taken.release()
    await pool.query('select 1')
    await pool.end()
    t.equal(pool.totalCount, 0)
  }
)

withLog('without notifications, events arrive by polling', async (t, log) => {
  const backplane = closing(t, log.backplane({ listen: false }))
  const { listener } = await join(backplane)
  const listening = await log.server.admin.query(
    `select 1 from pg_stat_activity where application_name = 'pylon-sse' and query ilike 'listen %'`
  )
  t.equal(listening.rowCount, 0)
  await log.server.admin.query(`select ${log.schema}.publish('1')`)
  t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['data: 1\n\n'])
})

withLog('a second connection can listen, and is replaced when it is lost', async (t, log) => {
  const wire = await TcpProxy.to(t, log.server.port)
  const url = log.server.urlOf('postgres', 'postgres', wire.port)
  // The poll alone would be too late for the test.
  const backplane = closing(t, log.backplane({ listen: url, pollInterval: 3_600_000 }))
  const { listener } = await join(backplane)
  await log.server.admin.query(`select ${log.schema}.publish('1')`)
  await listener.waitForEntries(1)
  wire.cut()
  await listener.waitForState(false)
  wire.mend()
  await listener.waitForState(true)
  await log.server.admin.query(`select ${log.schema}.publish('2')`)
  await listener.waitForEntries(2)
  const other = log.backplane({ listen: url, connectionString: 'postgres://127.0.0.1:1/none' })
  await t.rejects(other.join(PLENTY, new Listener()), /connection was refused/)
  await other.close()
})

withLog('events over maxEvents are deleted, and a process that missed some of them gets a gap', async (t, log) => {
  const { server, schema: s } = log
  const backplane = closing(t, log.backplane())
  const { listener } = await join(backplane)
  // One transaction of many events, of which some go and some stay; and small ones.
  await backplane.publish(parcels(...frames(40)))
  for (const frame of frames(10, 41)) await backplane.publish(parcels(frame))
  await listener.waitForEntries(50)
  const trim = async (maxEvents: number, batch: number) =>
    Number((await server.admin.query(`select ${s}.trim($1, null, $2) as gone`, [maxEvents, batch])).rows[0].gone)
  t.equal(await trim(15, 20), 20, 'in small deletes')
  t.equal(await trim(15, 20), 15)
  t.equal(await trim(15, 20), 0)
  const { rows } = await server.admin.query(
    `select (select count(*) from ${s}.events)::int as events, (select count(*) from ${s}.commits)::int as commits`
  )
  t.same(rows[0], { events: 15, commits: 11 })
  const late = await join(closing(t, log.backplane()))
  t.strictSame(bodiesOf(late.history), frames(15, 36))
  t.equal(backplane.compare(late.floor, listener.entries[34]!.cursor), 0, 'it begins after the last that is gone')
  await backplane.publish(parcels('data: end\n\n'))
  await listener.waitForEntries(51)
  t.equal(listener.gaps.length, 0, 'who has read it all has no gap')
})

withLog('events older than maxAge are deleted, also after a jump of the clock', async (t, log) => {
  const { server, schema: s } = log
  const backplane = closing(t, log.backplane())
  const { listener } = await join(backplane)
  for (const frame of frames(6)) await backplane.publish(parcels(frame))
  await listener.waitForEntries(6)
  await server.admin.query(`update ${s}.commits set at = at - interval '1 hour' where seq <= 3`)
  const trim = () => server.admin.query(`select ${s}.trim(1000, interval '1 minute', 1000)`)
  await trim()
  t.strictSame(bodiesOf((await join(closing(t, log.backplane()))).history), frames(3, 4))
  // The clock was an hour ahead, and is set right: they are no older than that for long.
  await server.admin.query(`update ${s}.commits set at = at + interval '1 hour'`)
  await trim()
  t.equal((await join(closing(t, log.backplane()))).history.length, 3)
  await backplane.publish(parcels('data: 7\n\n'))
  await listener.waitForEntries(7)
  // It was ahead when it was set: all that there is has become old.
  await server.admin.query(`update ${s}.commits set at = at - interval '2 hours'`)
  await trim()
  const { history, floor } = await join(closing(t, log.backplane()))
  t.strictSame(history, [])
  t.equal(backplane.compare(floor, listener.entries[6]!.cursor), 0)
  await backplane.publish(parcels('data: 8\n\n'))
  await listener.waitForEntries(8)
  t.equal(listener.gaps.length, 0)
  // Another log that was trimmed just as far is told from this one.
  await trim()
  await server.admin.query(`select ${s}.trim(0, null, 1000)`)
  await server.admin.query(`update ${s}.state set trimmed_entry = 'other'`)
  await listener.waitForGap()
})

withLog('only one process deletes at a time', async (t, log) => {
  const { server, schema: s } = log
  const backplane = closing(t, log.backplane())
  await join(backplane)
  await backplane.publish(parcels(...frames(10)))
  const other = await server.admin.connect()
  await other.query(`begin; select ${s}.trim(5, null, 3)`)
  const trim = async () => (await server.admin.query(`select ${s}.trim(5, null, 3) as gone`)).rows[0].gone
  t.equal(await trim(), '0')
  await other.query('commit')
  other.release()
  t.equal(await trim(), '2')
})

t.test('a trimmer continues until all is deleted, and tries again later if it fails', async (t) => {
  const left = [1000, 1000, 7]
  const trimmer = new Trimmer(async () => left.shift() ?? Promise.reject(new Error('it is out of reach')))
  const closing = new AbortController()
  await trimmer.trimAll(closing.signal)
  t.strictSame(left, [])
  await trimmer.trimAll(closing.signal)
  const running = trimmer.run(closing.signal)
  closing.abort()
  await running
})

withLog('SQL can publish with a name, a topic, an id and an excepted client, like app.sse.publish', async (t, log) => {
  const { admin } = log.server
  const s = log.schema
  const backplane = closing(t, log.backplane())
  const { listener } = await join(backplane)
  await admin.query(`select ${s}.publish('{"id":7}', event => 'todo.created', topic => 'todos.7')`)
  await admin.query(`select ${s}.publish('{"a":1}'::jsonb, id => 'own', except_client => 'c1')`)
  await admin.query(`select ${s}.publish(json '[1,\r\n2]')`)
  await admin.query(`select ${s}.publish(null::jsonb)`)
  await admin.query(`select ${s}.publish_message(E'two\\nlines', event => '')`)
  const entries = await listener.waitForEntries(5)
  t.match(entries, [
    { message: { kind: 'event', body: 'event: todo.created\ndata: {"id":7}\n\n', topic: 'todos.7' } },
    { message: { body: 'data: {"a": 1}\n\n', id: 'own', except: 'c1' } },
    { message: { body: 'data: [1,\ndata: 2]\n\n' } },
    { message: { body: 'data: null\n\n' } },
    { message: { body: 'data: two\ndata: lines\n\n', isText: true } }
  ])
  for (const [call, wrong] of [
    [`publish('{')`, /invalid input syntax for type json/],
    [`publish('1', event => 'resync')`, /event got 'resync'/],
    [`publish('1', event => E'a\\nb')`, /event got/],
    [`publish('1', topic => 'a.*')`, /topic got 'a\.\*'/],
    [`publish('1', topic => '')`, /topic got ''/],
    [`publish('1', topic => E'a\\tb')`, /topic got/],
    [`publish('1', id => ' ')`, /id got ' '/],
    [`publish('1', id => 'ä')`, /id got/],
    [`publish('1', id => 'k3x9w2ab-43')`, /id got/],
    [`publish_message(repeat('x', 1048577))`, /1048576/]
  ] as const)
    await t.rejects(admin.query(`select ${s}.${call}`), wrong)
})

withLog('events after SET CONSTRAINTS in a transaction arrive, too', async (t, log) => {
  const s = log.schema
  const backplane = closing(t, log.backplane())
  const { listener } = await join(backplane)
  const client = await log.server.admin.connect()
  await client.query('begin')
  await client.query(`select ${s}.publish('1'), ${s}.publish('2')`)
  await client.query('set constraints all immediate')
  await client.query(`select ${s}.publish('3')`)
  await client.query('set constraints all deferred')
  await client.query(`select ${s}.publish('4'), ${s}.publish('5')`)
  await client.query('commit')
  client.release()
  t.strictSame(bodiesOf(await listener.waitForEntries(5)), frames(5))
})
