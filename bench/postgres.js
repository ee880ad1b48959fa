// `npm run bench:postgres`: what events cost a Postgres, and the two ways to order them.

import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { postgres } from 'pylon-sse/postgres'
import { migrationScript } from '../dist/backplane/postgres/migrations.js'
import { now } from './machine/clock.js'
import { describeMachine } from './machine/machine.js'
import { median } from './report/medians.js'
import { digits, short } from './report/numbers.js'
import { engines, startEngine } from './stage/engines.js'

const WRITERS = 8
const SECONDS = 5
/** How long the long transaction is open, within the seconds of a case, ms. */
const LONG = 3000
const BYTES = 100
/** Transactions in a round of the costs, and rounds, of which the medians are shown. */
const TRANSACTIONS = 200
const ROUNDS = 5
/** Of the growth: events/s, what the log keeps, and for how long, s. */
const RATE = 5000
const KEPT = 100_000
const GROWTH = Number(process.env.GROWTH_SECONDS ?? 120)
const REPORTS = 6

const engine = engines().find(({ name }) => name === 'postgres')
if (engine.path === undefined) throw new Error('there is no postgres on this machine')
const { cpu, cores, os, kernel, node } = describeMachine()
console.log(`${cores} × ${cpu}, ${os} (Linux ${kernel}), Node ${node}, Postgres ${engine.version}`)
const { url, stop } = await startEngine(engine)
const connect = async () => {
  const client = new pg.Client(url)
  await client.connect()
  return client
}
const admin = await connect()
try {
  await admin.query(migrationScript('pylon_sse', 0))
  await compareOrders()
  await measureTransactions()
  await measureGrowth()
} finally {
  await admin.end()
  await stop()
}

/**
 * The two designs with the same writers and the same reader. Events are numbered as they commit, under a lock; or at once, and
 * read when no older transaction is open (pg_snapshot_xmin).
 */
async function compareOrders() {
  const DESIGNS = {
    'numbered at the commit, under a lock': {
      // Without the checks and the formatting of `publish`, which the other one has not either.
      publish: `select pylon_sse.put('{}', $1)`,
      channel: 'pylon_sse',
      read: `select c.seq::text as a, e.k::text as b, e.body from pylon_sse.commits c join pylon_sse.events e on e.tx = c.tx
        where (c.seq, e.k) > ($1::bigint, $2::bigint) order by c.seq, e.k limit 1000`
    },
    'numbered at once, read behind a horizon': {
      publish: `with e as (insert into horizon (body) values ($1) returning 1) select pg_notify('horizon', '') from e`,
      channel: 'horizon',
      read: `select xid::text as a, seq::text as b, body from horizon
        where xid < pg_snapshot_xmin(pg_current_snapshot()) and (xid, seq) > ($1::xid8, $2::bigint)
        order by xid, seq limit 1000`
    }
  }
  await admin.query(`create table horizon (xid xid8 not null default pg_current_xact_id(),
    seq bigint generated always as identity, body text not null, primary key (xid, seq))`)
  console.log(`\n${WRITERS} connections, a transaction with one event of ${BYTES} bytes each, for ${SECONDS} s\n`)
  console.log('| design | another session | events/s | delivery p50 ms | p99 ms | max ms |')
  console.log('|---|---|--:|--:|--:|--:|')
  for (const [title, design] of Object.entries(DESIGNS)) {
    for (const session of ['', 'has read', 'has written']) {
      const { rate, delays } = await runDesign(design, session)
      const at = (share) => digits(delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] / 1000)
      const other = session && `${session}, open for ${LONG / 1000} s`
      console.log(`| ${title} | ${other} | ${short(rate)} | ${at(0.5)} | ${at(0.99)} | ${at(1)} |`)
    }
  }
}

async function runDesign({ publish, channel, read }, session) {
  const reader = await connect()
  const writers = await Promise.all(Array.from({ length: WRITERS }, connect))
  const other = await connect()
  const delays = []
  let position = ['0', '0']
  let isOver = false
  let published = 0
  let wake = () => {}
  reader.on('notification', () => wake())
  await reader.query(`listen ${channel}`)
  const look = async () => {
    const { rows } = await reader.query(read, position)
    for (const { body } of rows) delays.push(now() - Number(/\d+/.exec(body)[0]))
    if (rows.length > 0) position = [rows.at(-1).a, rows.at(-1).b]
    return rows.length
  }
  // What is there from the case before.
  while ((await look()) > 0);
  delays.length = 0
  const reading = (async () => {
    while (!isOver || delays.length < published) {
      const woken = new Promise((resolve) => {
        wake = resolve
      })
      // Behind a horizon nothing tells that it has moved, so one looks often.
      if ((await look()) === 0) await Promise.race([woken, sleep(10)])
    }
  })()
  const first = now()
  const write = async (writer) => {
    while (now() - first < SECONDS * 1e6) {
      await writer.query('begin')
      await writer.query(publish, [JSON.stringify(`${Math.round(now())}`.padEnd(BYTES - 2))])
      await writer.query('commit')
      published++
    }
  }
  const holding = (async () => {
    if (session === '') return
    await sleep(500)
    await other.query('begin isolation level repeatable read')
    await other.query(session === 'has written' ? 'create temporary table held (a integer)' : 'select 1')
    await sleep(LONG)
    await other.query('rollback')
  })()
  await Promise.all([...writers.map(write), holding])
  const rate = published / ((now() - first) / 1e6)
  isOver = true
  await reading
  await Promise.all([reader, other, ...writers].map((client) => client.end()))
  return { rate, delays: delays.sort((a, b) => a - b) }
}

/** What one event adds to a transaction that writes a row. */
async function measureTransactions() {
  await admin.query('create table todos (id integer generated always as identity primary key, title text)')
  const INSERT = `insert into todos (title) values ('${'x'.repeat(20)}')`
  const publish = `select pylon_sse.publish('"${'x'.repeat(BYTES - 2)}"', topic => 'todos.7')`
  const KINDS = {
    'one insert': [INSERT],
    'one insert, and a second': [INSERT, INSERT],
    'one insert and one event': [INSERT, publish],
    'one insert into a table that is watched': [INSERT]
  }
  console.log(`\nOne connection, medians of ${ROUNDS} rounds of ${TRANSACTIONS} transactions\n`)
  console.log('| a transaction with | µs | µs, synchronous_commit = off | bytes of WAL |')
  console.log('|---|--:|--:|--:|')
  const figures = Object.keys(KINDS).map(() => ({ on: [], off: [], wal: [] }))
  // Pages are written whole for the first time after a checkpoint.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, [kind, statements]] of Object.entries(KINDS).entries()) {
      const isWatched = kind.includes('watched')
      if (isWatched) await admin.query(`select pylon_sse.watch('todos', topic => 'todos', columns => '{title}')`)
      for (const mode of ['on', 'off']) {
        await admin.query(`set synchronous_commit = ${mode}`)
        const place = await walPlace()
        const first = now()
        for (let n = 0; n < TRANSACTIONS; n++) {
          await admin.query('begin')
          for (const statement of statements) await admin.query(statement)
          await admin.query('commit')
        }
        const took = (now() - first) / TRANSACTIONS
        // The first round warms up.
        if (round > 0) figures[i][mode].push(took)
        if (round > 0 && mode === 'on') figures[i].wal.push(((await walPlace()) - place) / TRANSACTIONS)
      }
      if (isWatched) await admin.query(`select pylon_sse.unwatch('todos')`)
    }
  }
  await admin.query('reset synchronous_commit')
  for (const [i, kind] of Object.keys(KINDS).entries()) {
    const { on, off, wal } = figures[i]
    console.log(`| ${kind} | ${digits(median(on))} | ${digits(median(off))} | ${digits(median(wal))} |`)
  }
}

async function walPlace() {
  const { rows } = await admin.query(`select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float as place`)
  return rows[0].place
}

/** How far the tables grow beyond what the log keeps. */
async function measureGrowth() {
  await admin.query('truncate pylon_sse.events')
  await admin.query('vacuum pylon_sse.events, pylon_sse.commits')
  const backplane = postgres({ connectionString: url, maxEvents: KEPT })
  const nothing = () => {}
  await backplane.join(
    { events: 1, bytes: 1 },
    { onEntries: nothing, onGap: nothing, onState: nothing, onForeign: nothing, onLoss: nothing }
  )
  console.log(`\n${short(RATE)} events/s in batches of 100, maxEvents ${short(KEPT)}, autovacuum as it comes\n`)
  console.log(
    '| after s | events in the log | size of both tables, MiB | bytes a live event | dead rows | autovacuums |'
  )
  console.log('|--:|--:|--:|--:|--:|--:|')
  const body = `data: "${'x'.repeat(BYTES - 2)}"\n\n`
  const first = now()
  let batches = 0
  for (let report = 1; report <= REPORTS; report++) {
    const end = first + (report * GROWTH * 1e6) / REPORTS
    while (now() < end) {
      const due = first + (batches * 100 * 1e6) / RATE
      if (due > now()) await sleep((due - now()) / 1000)
      const batch = Array.from({ length: 100 }, (_, i) => ({
        messageId: `${batches}:${i}`,
        message: { kind: 'event', topic: 'todos.7', body }
      }))
      await backplane.publish(batch)
      batches++
    }
    const { rows } = await admin.query(`select
      (select count(*) from pylon_sse.events)::integer as live,
      (pg_total_relation_size('pylon_sse.events') + pg_total_relation_size('pylon_sse.commits'))::float as size,
      (select sum(n_dead_tup) from pg_stat_user_tables where schemaname = 'pylon_sse')::integer as dead,
      (select sum(autovacuum_count) from pg_stat_user_tables where schemaname = 'pylon_sse')::integer as vacuums`)
    const { live, size, dead, vacuums } = rows[0]
    const cells = [
      (report * GROWTH) / REPORTS,
      short(live),
      digits(size / 2 ** 20),
      digits(size / live),
      short(dead),
      vacuums
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
  await backplane.close()
}
