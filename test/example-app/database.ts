import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { requireBinary } from '../kit/binary.js'
import { failToStart, startServer } from '../kit/board-cluster.js'
import { psql } from '../kit/board-database.js'
import { add, isLive, logIn, openPage, openTab, says, shows } from '../kit/board-page.js'
import type { BoardStage } from '../kit/board-stage.js'
import { pathOf } from '../kit/postgres-server.js'
import { Relay } from '../kit/relay.js'
import { connect } from '../kit/sse-client.js'
import { changesOf, numberOf } from '../kit/task-board.js'

/** What the pages owe to the database behind them. */
export function database(t: Test, stage: BoardStage): void {
  t.test('what is changed in psql appears in every tab', async (t) => {
    if (requireBinary(t, 'postgres', await pathOf('postgres')) === undefined) return
    const { ann, bob } = stage
    await stage.enterRoom(['Milk', 'Bread'])
    const room = new URL(ann.url()).hash.slice(1)
    const run = (sql: string) => psql(stage.databaseUrl!, sql)
    const all = [ann, bob, await openTab(bob)]
    await run(`update board.tasks set title = 'Rye bread', status = 'doing' where title = 'Bread' and room = '${room}'`)
    for (const page of all) await shows(t, page, { todo: ['Milk'], doing: ['Rye bread'] }, 'an update')
    await run(`insert into board.tasks (room, title) values ('${room}', 'From psql')`)
    for (const page of all) await shows(t, page, { todo: ['From psql', 'Milk'], doing: ['Rye bread'] }, 'an insert')
    await ann.getByText('postgres added “From psql”').waitFor({ state: 'attached' })
    await run(
      `begin; delete from board.tasks; rollback; delete from board.tasks where title = 'Milk' and room = '${room}'`
    )
    for (const page of all) await shows(t, page, { todo: ['From psql'], doing: ['Rye bread'] }, 'a delete')
    await run(`alter table board.tasks disable trigger pylon_sse_feed; update board.tasks set title = 'Unheard'
      where title = 'From psql'; alter table board.tasks enable trigger pylon_sse_feed`)
    for (const page of all)
      await shows(t, page, { todo: ['Unheard'], doing: ['Rye bread'] }, 'and a change of the table')
    await all[2]!.close()
  })

  t.test('a deploy under open tabs loses nothing, asks nobody to log in, and the ids go on', async (t) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'pylon-sse-board-'))
    t.teardown(() => rm(dataDir, { recursive: true, force: true }))
    const env = { DATA_DIR: dataDir }
    const before = await startServer(t, env)
    const relay = new Relay()
    const page = await openPage(t, stage.browser, `${await relay.listen(t, before.port)}/#team-a`)
    await logIn(page, 'Ann')
    await isLive(page)
    const tabs = [page, await openTab(page)]
    const [cookie] = await page.context().cookies()
    const watch = (port: number, lastEventId?: string) =>
      connect(port, {
        query: { topic: 'room.team-a' },
        headers: { cookie: `${cookie!.name}=${cookie!.value}` },
        ...(lastEventId && { lastEventId })
      })
    const watching = await watch(before.port)
    await add(page, 'Before')
    for (const tab of tabs) await shows(t, tab, { todo: ['Before'] }, 'before')
    const [first] = await changesOf(watching, 1)
    const refused = await failToStart(env)
    t.equal(refused.code, 1)
    t.match(refused.output, /could not start: the folder .* is in use/, 'another process cannot open the same folder')

    relay.target = undefined
    t.equal(await before.stop(), 0)
    await watching.waitForEnd()
    for (const tab of tabs) await says(tab, 'connection', 'Reconnecting')
    await add(page, 'Meanwhile')
    const after = await startServer(t, env)
    relay.target = after.port
    for (const tab of tabs) {
      await isLive(tab)
      await shows(t, tab, { todo: ['Meanwhile', 'Before'] }, 'after')
      t.equal(await tab.getByTestId('login-name').isVisible(), false)
    }
    const resumed = await watch(after.port, watching.lastEventId)
    const [second] = await changesOf(resumed, 1)
    t.match(second, { data: { title: 'Meanwhile', author: 'Ann' } })
    t.notMatch(resumed.body, 'resync')
    t.equal(second!.cursor.slice(0, 9), first!.cursor.slice(0, 9), 'in the same log')
    t.ok(numberOf(second!.cursor) > numberOf(first!.cursor))
    await resumed.close()
    t.equal(await after.stop(), 0)
  })
}
