// A watched table, and who hears of its changes.

import t, { type Test } from 'tap'
import type { BackplaneEntry, BackplaneEvent } from '../../lib/backplane/backplane.js'
import { faultOf } from '../../lib/backplane/entry-format.js'
import { join, type Listener } from './backplane-listener.js'
import { nextLog } from './postgres-engine.js'
import type { PostgresServer } from './postgres-server.js'

/** What a change says, with its topic and without its time. */
function changeOf(entry: BackplaneEntry) {
  t.equal(faultOf(entry), undefined)
  const { body, topic } = entry.message as BackplaneEvent
  const [name, data] = body.split('\n') as [string, string]
  t.equal(name, 'event: change')
  const { timestamp, ...change } = JSON.parse(data.slice('data: '.length))
  t.ok(Math.abs(Date.now() - timestamp) < 86_400_000)
  return { topic, ...change }
}

export interface Feed {
  schema: string
  listener: Listener
  server: PostgresServer
  run(sql: string): Promise<unknown>
  /** The next changes. */
  next(count: number): Promise<Change[]>
  /** The topics of the next changes, sorted, which are all `resync`. */
  resyncs(count: number): Promise<(string | undefined)[]>
  /** Waits for the word to all clients that the log has lost something. */
  loss(): Promise<void>
}

export type Change = ReturnType<typeof changeOf>

/** A table `<schema>_todos`, and who hears of it. */
export function withTable(title: string, run: (t: Test, feed: Feed, todos: string) => Promise<void>) {
  t.test(title, async (t) => {
    const log = await nextLog()
    if (log === undefined) return
    const { server, schema } = log
    const backplane = log.backplane()
    const { listener } = await join(backplane)
    const todos = `${schema}_todos`
    const sql = (text: string) => server.admin.query(text)
    await sql(
      `create table ${todos} (id integer primary key, list_id text, title text, done boolean default false, secret text)`
    )
    t.teardown(async () => {
      await backplane.close()
      await sql(`drop table if exists ${todos} cascade`)
      await sql(`drop schema if exists ${schema} cascade`)
    })
    let heard = 0
    const next = async (count: number) => {
      heard += count
      return (await listener.waitForEntries(heard)).slice(heard - count, heard).map(changeOf)
    }
    const resyncs = async (count: number) => {
      const changes = await next(count)
      for (const { topic: _topic, ...change } of changes)
        t.strictSame(change, { entity: todos, row_id: null, kind: 'resync', data: null })
      return changes.map(({ topic }) => topic).sort()
    }
    const loss = async () => {
      const entry = (await listener.waitForEntries(++heard))[heard - 1]!
      t.match(entry, { message: { kind: 'loss' } })
      t.equal(faultOf(entry), undefined)
    }
    await run(t, { schema, listener, server, run: sql, next, resyncs, loss }, todos)
  })
}
