import { execFile } from 'node:child_process'
import { join as joinPath } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Test } from 'tap'
import t from 'tap'
import { postgres } from '../../../lib/backplane/postgres/postgres.js'
import { resyncOf } from '../../kit/numbered.js'
import type { PostgresLogControls } from '../../kit/postgres-engine.js'
import { withLog } from '../../kit/postgres-engine.js'
import { pathOf, startPostgres } from '../../kit/postgres-server.js'
import { dataOf, LONG, type Process, publish, range, startProcess, waitForEvents } from '../../kit/processes.js'
import { fillSoon } from '../../kit/small-disk.js'
import type { SseClient } from '../../kit/sse-client.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

const run = promisify(execFile)

/** Two processes with a client each, which have heard the numbers up to 5. */
async function begin(t: Test, log: PostgresLogControls, limits = {}): Promise<[[Process, Process], SseClient[]]> {
  const processes: [Process, Process] = [
    await startProcess(t, log.backplane(limits)),
    await startProcess(t, log.backplane(limits))
  ]
  const clients = [await processes[0].connect(), await processes[1].connect()]
  await publish(processes[0], 1, 5)
  await waitForEvents(clients, 5)
  return [processes, clients]
}

async function waitForResync(client: SseClient): Promise<void> {
  await client.until((event) => resyncOf(event)?.reason === 'backplane', LONG)
}

withLog('no event is lost when the server restarts or an administrator ends connections', async (t, log) => {
  const [processes, clients] = await begin(t, log)
  await log.server.restart()
  await publish(processes[1], 6, 10)
  await log.server.admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pylon-sse'`
  )
  await publish(processes[0], 11, 15)
  await waitForEvents(clients, 15)
  for (const client of clients) {
    t.strictSame(dataOf(client).map(Number), range(1, 15))
    t.strictSame(client.events.filter(resyncOf), [])
  }
})

withLog("after the log's table is truncated, clients get a resync and later events", async (t, log) => {
  for (const table of ['events', 'commits']) {
    const [processes, clients] = await begin(t, log)
    await log.server.admin.query(`truncate ${log.schema}.${table}`)
    for (const client of clients) await waitForResync(client)
    await publish(processes[1], 6, 8)
    await waitForEvents(clients, 8)
    for (const client of clients) t.strictSame(dataOf(client).map(Number), range(1, 8))
    for (const { app } of processes) await app.close()
  }
})

withLog('after an older dump is restored, clients get a resync and no event twice', async (t, log) => {
  const { server, schema } = log
  const [processes, clients] = await begin(t, log)
  const dump = joinPath(server.folder, `${schema}.sql`)
  const args = ['-h', '127.0.0.1', '-p', String(server.port), '-U', 'postgres', '-d', 'postgres']
  await run(await pathOf('pg_dump'), [...args, '-n', schema, '--clean', '-f', dump])
  await publish(processes[0], 6, 10)
  await waitForEvents(clients, 10)
  await run(await pathOf('psql'), [...args, '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-f', dump])
  for (const client of clients) await waitForResync(client)
  await publish(processes[1], 11, 13)
  await waitForEvents(clients, 13)
  for (const client of clients) {
    t.strictSame(dataOf(client).map(Number), range(1, 13))
    t.equal(client.events.filter(resyncOf).length, 1)
  }
  const late = await startProcess(t, log.backplane())
  const lost = await late.connect({ lastEventId: clients[0]!.events[7]!.id! })
  t.ok(resyncOf(await lost.next(LONG)), 'whoever was away is told')
})

withLog('events that wait for a lock, or run into a statement timeout, arrive later, in order', async (t, log) => {
  const [processes, clients] = await begin(t, log)
  const blocker = await log.server.admin.connect()
  await blocker.query(`begin; set constraints all immediate; select ${log.schema}.publish('"blocker"')`)
  const waiting = publish(processes[1], 6, 8)
  await new Promise((resolve) => setTimeout(resolve, 2500))
  t.ok(processes[0].app.sse.ready, 'the log can be read meanwhile')
  await blocker.query('commit')
  await waiting
  await waitForEvents(clients, 9)
  const { admin } = log.server
  await admin.query(`alter role postgres set statement_timeout = '300ms'`)
  t.teardown(() => admin.query('alter role postgres reset statement_timeout'))
  await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pylon-sse'`)
  await blocker.query(`begin; set constraints all immediate; select ${log.schema}.publish('"blocker"')`)
  const slow = publish(processes[0], 9, 10)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  await blocker.query('commit')
  blocker.release()
  await slow
  await waitForEvents(clients, 12)
  for (const client of clients) {
    t.strictSame(
      dataOf(client)
        .filter((data) => data !== '"blocker"')
        .map(Number),
      range(1, 10)
    )
    t.strictSame(client.events.filter(resyncOf), [])
  }
})

withLog(
  'with a full disk publish rejects, no event is lost, and events are accepted again when there is room',
  async (t, log) => {
    const [processes, clients] = await begin(t, log)
    const makeRoom = await fillSoon(t, log.server, `${log.schema}.events`)
    if (makeRoom === undefined) return
    const [writing] = processes
    let accepted = 5
    const large = (n: number) => ({
      n,
      filler: Array.from({ length: 10_000 }, () => Math.random().toString(36)).join('')
    })
    const fill = async () => {
      for (;;) {
        await writing.app.sse.publish(large(accepted + 1))
        accepted++
      }
    }
    await t.rejects(fill(), { code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED', message: /its disk is full/ })
    t.ok(accepted > 5)
    t.ok(writing.app.sse.ready, 'it can be read')
    await waitForEvents(clients, accepted)
    await makeRoom()
    await writing.app.sse.publish({ n: ++accepted })
    await waitForEvents(clients, accepted)
    for (const client of clients) {
      const numbers = dataOf(client).map((data) => JSON.parse(data).n ?? Number(data))
      t.strictSame(numbers, range(1, accepted), 'all that was acknowledged, once')
      t.strictSame(client.events.filter(resyncOf), [])
    }
  }
)

withLog(
  'a jump of the clock changes neither the order nor the events, and trims no more than maxAge says',
  async (t, log) => {
    const { server, schema: s } = log
    const { admin } = server
    const HOUR = 3_600_000
    const DAY = 24 * HOUR
    const processes = [await startProcess(t, log.backplane()), await startProcess(t, log.backplane())] as const
    // The functions as they are, with another clock.
    await admin.query(`create sequence ${s}.jump minvalue -${10 * DAY}`)
    await admin.query(`create function ${s}.clock() returns timestamptz language sql as $$
    select clock_timestamp() + last_value * interval '1 ms' from ${s}.jump $$`)
    const { rows } = await admin.query(
      `select pg_get_functiondef(oid) as code from pg_proc
    where pronamespace = $1::regnamespace and prosrc like '%clock_timestamp()%' and proname <> 'clock'`,
      [s]
    )
    t.ok(rows.length >= 2, 'what numbers events, and what trims them')
    for (const { code } of rows) await admin.query(code.replaceAll('clock_timestamp()', `${s}.clock()`))
    const jumpTo = (ms: number) => admin.query(`select setval('${s}.jump', $1)`, [ms])
    const trim = async () =>
      Number((await admin.query(`select ${s}.trim(100000, interval '1 hour', 1000) as gone`)).rows[0].gone)

    const client = await processes[1].connect()
    await jumpTo(1)
    await publish(processes[0], 1, 3)
    await jumpTo(DAY)
    await publish(processes[1], 4, 5)
    await jumpTo(-DAY)
    await publish(processes[0], 6, 7)
    await waitForEvents([client], 7)
    const { rows: times } = await admin.query(`select at from ${s}.commits order by seq`)
    const spread = times.map(({ at }) => Math.round((Number(at) - Date.now()) / DAY))
    t.strictSame([...new Set(spread)], [0, 1, -1], 'the events have the times of the clock')
    t.equal(await trim(), 0, 'a clock that was set back trims nothing')
    const later = await startProcess(t, log.backplane())
    const resumed = await later.connect({ lastEventId: client.events[1]!.id! })
    await waitForEvents([resumed], 5)
    t.strictSame(dataOf(resumed).map(Number), range(3, 7))
    await jumpTo(DAY)
    t.equal(await trim(), 3, 'one that was set forward trims what is older by it, from the oldest on')
    await publish(processes[0], 8, 8)
    await waitForEvents([client], 8)
    await waitForEvents([resumed], 6)
    t.strictSame(dataOf(client).map(Number), range(1, 8))
    for (const each of [client, resumed]) t.strictSame(each.events.filter(resyncOf), [])
  }
)

withLog('a role without a grant gets an error that says what it may not do', async (t, log) => {
  const { server, schema: s } = log
  const { admin } = server
  const first = await startProcess(t, log.backplane())
  await admin.query('create role reader login; create role publisher login')
  t.teardown(() => admin.query('drop owned by reader, publisher; drop role reader, publisher'))
  const as = (user: string) => postgres({ connectionString: server.urlOf('postgres', user), schema: s })
  await t.rejects(startProcess(t, as('reader')), /its user may not do this: permission denied for schema/)
  await admin.query(
    `grant usage on schema ${s} to reader, publisher; grant select on all tables in schema ${s} to reader`
  )
  const reading = await startProcess(t, as('reader'))
  const client = await reading.connect()
  await publish(first, 1, 2)
  await waitForEvents([client], 2)
  await t.rejects(reading.app.sse.publish(3), {
    code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED',
    message: /its user may not do this: permission denied for function append/
  })
  t.ok(reading.app.sse.ready)
  await admin.query(`grant execute on function ${s}.append to reader`)
  await publish(reading, 3, 3)
  const script = new pg.Client(server.urlOf('postgres', 'publisher'))
  await script.connect()
  await t.rejects(script.query(`select ${s}.publish('4')`), /permission denied for function publish/)
  await admin.query(`grant execute on function ${s}.publish(text, text, text, text, text) to publisher`)
  await script.query(`select ${s}.publish('4')`)
  await t.rejects(script.query(`select * from ${s}.events`), /permission denied for table events/)
  await script.end()
  await waitForEvents([client], 4)
  t.strictSame(dataOf(client).map(Number), range(1, 4))
  // The log does not tell of a loss by who may not write: each process tells its own clients.
  await admin.query(`revoke execute on function ${s}.append from reader`)
  await admin.query(`truncate ${s}.events`)
  await waitForResync(client)
  // One that may not delete leaves it to others.
  await t.rejects(admin.query(`set role reader; select ${s}.trim(1, null, 1)`), /permission denied/)
})

t.test('clients get a resync when a standby is promoted without the newest events', async (t) => {
  const primary = await startPostgres(t, {
    config: ['wal_level = replica', 'max_wal_senders = 4', 'synchronous_commit = local']
  })
  if (primary === undefined) return
  const replication = await TcpProxy.to(t, primary.port)
  const standby = (await startPostgres(t, { primary: replication.port, config: ['hot_standby = on'] }))!
  const wire = await TcpProxy.to(t, primary.port)
  const backplane = () =>
    postgres({ connectionString: primary.urlOf('postgres', 'postgres', wire.port), migrate: true })
  const processes: [Process, Process] = [await startProcess(t, backplane()), await startProcess(t, backplane())]
  const clients = [await processes[0].connect(), await processes[1].connect()]
  await publish(processes[0], 1, 5)
  await waitForEvents(clients, 5)
  const { rows } = await primary.admin.query('select pg_current_wal_lsn()::text as lsn')
  const isThere = async () =>
    (await standby.admin.query('select pg_last_wal_replay_lsn() >= $1::pg_lsn as done', [rows[0].lsn])).rows[0].done
  while (!(await isThere())) await new Promise((resolve) => setTimeout(resolve, 20))
  await t.rejects(
    startProcess(t, postgres({ connectionString: standby.url, migrate: true })),
    /it takes no writes: it is a standby/
  )
  replication.cut()
  await publish(processes[0], 6, 10)
  await waitForEvents(clients, 10)
  await primary.kill9()
  wire.cut()
  wire.leadTo(standby.port)
  await standby.admin.query('select pg_promote()')
  wire.mend()
  for (const client of clients) await waitForResync(client)
  await publish(processes[1], 11, 13)
  await waitForEvents(clients, 13)
  for (const client of clients) {
    t.strictSame(dataOf(client).map(Number), range(1, 13))
    t.equal(client.events.filter(resyncOf).length, 1)
  }
  const late = await startProcess(t, backplane())
  const lost = await late.connect({ lastEventId: clients[0]!.events[7]!.id! })
  t.ok(resyncOf(await lost.next(LONG)), 'whoever was away is told')
})
