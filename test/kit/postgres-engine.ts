// Postgres for the tests that are the same for all engines.

import tap, { type Test } from 'tap'
import type { Backplane, BackplaneLimits } from '../../lib/backplane/backplane.js'
import { type PostgresOptions, postgres } from '../../lib/backplane/postgres/postgres.js'
import { type PostgresServer, startPostgres } from './postgres-server.js'

const TABLES = ['state', 'events', 'commits']
const SEQUENCES = ['transactions', 'places']

/** The log in one schema of a server that tests share. */
export class PostgresLogControls {
  readonly server: PostgresServer
  readonly schema: string

  constructor(server: PostgresServer, schema: string) {
    this.server = server
    this.schema = schema
  }

  backplane(options: Partial<PostgresOptions> = {}, port = this.server.port): Backplane {
    const connectionString = this.server.urlOf('postgres', 'postgres', port)
    return postgres({ connectionString, schema: this.schema, migrate: true, ...options })
  }

  /** Copies what the log has to a schema beside it, as a backup. */
  async keep(): Promise<void> {
    const { schema: s } = this
    await this.server.admin.query(
      [
        `drop schema if exists kept_${s} cascade`,
        `create schema kept_${s}`,
        ...TABLES.map((table) => `create table kept_${s}.${table} as select * from ${s}.${table}`),
        ...SEQUENCES.map((name) => `create table kept_${s}.${name} as select last_value, is_called from ${s}.${name}`)
      ].join(';')
    )
  }

  /** Ends all connections, and puts back what was kept. */
  async restore(): Promise<void> {
    const { schema: s } = this
    const client = await this.server.admin.connect()
    try {
      await client.query(
        [
          'begin',
          `set local session_replication_role = replica`,
          ...TABLES.map((table) => `lock table ${s}.${table} in access exclusive mode`),
          `select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'pylon-sse'`,
          ...TABLES.map(
            (table) => `delete from ${s}.${table}; insert into ${s}.${table} select * from kept_${s}.${table}`
          ),
          ...SEQUENCES.map((name) => `select setval('${s}.${name}', last_value, is_called) from kept_${s}.${name}`),
          'commit'
        ].join(';')
      )
    } finally {
      client.release()
    }
  }

  /** Deletes the log, as if it had never been. */
  async drop(): Promise<void> {
    await this.server.admin.query(`drop schema ${this.schema} cascade`)
  }
}

let starting: Promise<PostgresServer | undefined> | undefined
let logs = 0

/** A log of its own, on the one server of this process; nothing where there is no Postgres on this machine. */
export async function nextLog(): Promise<PostgresLogControls | undefined> {
  starting ??= startPostgres(tap)
  const server = await starting
  await server?.recover()
  return server && new PostgresLogControls(server, `log_${++logs}`)
}

/** A Postgres for the tests that all engines share. */
export async function postgresEngine() {
  const log = await nextLog()
  if (log === undefined) return undefined
  const { server, schema } = log
  return {
    name: 'postgres',
    port: server.port,
    backplane: (limits?: Partial<BackplaneLimits>, port?: number) => log.backplane(limits, port),
    start: () => server.start(),
    kill9: () => server.kill9(),
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    keep: () => log.keep(),
    restore: () => log.restore(),
    async trim() {
      await server.admin.query(`select ${schema}.trim(0, null, 1000000)`)
    },
    flush: () => log.drop(),
    countConnections: async () => (await server.connectionNames()).filter((name) => name === 'pylon-sse').length
  }
}

/** A test with a log of its own; without a server it is skipped, or fails where CI is set. */
export function withLog(title: string, run: (t: Test, log: PostgresLogControls) => Promise<void>) {
  tap.test(title, async (t) => {
    const log = await nextLog()
    if (log !== undefined) await run(t, log)
  })
}
