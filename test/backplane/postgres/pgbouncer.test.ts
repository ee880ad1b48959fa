import t from 'tap'
import { backplaneContract } from '../../../lib/backplane/contract/contract.js'
import { startPgBouncer } from '../../kit/pgbouncer.js'
import { nextLog } from '../../kit/postgres-engine.js'
import { dataOf, startProcess, waitForEvents } from '../../kit/processes.js'

t.test('behind PgBouncer in transaction mode', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const { server, schema } = log
  const port = await startPgBouncer(t, server)
  if (port === undefined) return
  const bouncer = server.urlOf('postgres', 'postgres', port)

  await t.test('events arrive by polling, also from transactions, and after a restart of the server', async (t) => {
    const one = await startProcess(t, log.backplane({ listen: false }, port))
    const two = await startProcess(t, log.backplane({ listen: false }, port))
    const clients = [await one.connect(), await two.connect()]
    await one.app.sse.publish(1)
    await waitForEvents(clients, 1)
    const { default: pg } = await import('pg')
    const client = new pg.Client(bouncer)
    client.on('error', () => {})
    await client.connect()
    t.teardown(() => client.end().catch(() => {}))
    await client.query('begin')
    await two.app.sse.publish(2, { transaction: client })
    await two.app.sse.publish(3)
    await waitForEvents(clients, 2)
    await client.query('commit')
    await waitForEvents(clients, 3)
    await server.restart()
    await two.app.sse.publish(4)
    await waitForEvents(clients, 4)
    for (const each of clients) t.strictSame(dataOf(each), ['1', '3', '2', '4'])
    t.notMatch(clients.map(({ body }) => body).join(), 'resync')
  })

  await t.test('with a connection string that bypasses PgBouncer they arrive at once', async (t) => {
    // So seldom that nothing is heard by polling.
    const options = { listen: server.url, pollInterval: 3_600_000 }
    const one = await startProcess(t, log.backplane(options, port))
    const two = await startProcess(t, log.backplane(options, port))
    const clients = [await one.connect(), await two.connect()]
    for (const n of [1, 2, 3]) {
      await one.app.sse.publish(n)
      await waitForEvents(clients, n)
    }
    for (const each of clients) t.strictSame(dataOf(each), ['1', '2', '3'])
  })

  await t.test('if it is told to listen, but cannot, events arrive by the slow poll', async (t) => {
    const one = await startProcess(t, log.backplane({ pollInterval: 50 }, port))
    const client = await one.connect()
    await server.admin.query(`select ${schema}.publish('"by SQL"')`)
    await waitForEvents([client], 1)
    t.strictSame(dataOf(client), ['"by SQL"'])
  })

  let logs = 0
  const cases = backplaneContract({
    async begin() {
      logs++
    },
    connect: () => log.backplane({ listen: false, pollInterval: 10, schema: `${schema}_bouncer_${logs}` }, port),
    async replace() {
      await server.admin.query(`drop schema ${schema}_bouncer_${logs} cascade`)
    }
  })
  // As with a PGlite: all of them hold, and would take a minute.
  const short = /comes to all|every field|was deleted|published again is told/
  for (const { name, run } of cases.filter(({ name }) => short.test(name))) await t.test(name, run)
})
