import pg from 'pg'
import t, { type Test } from 'tap'
import { publisher } from '../../../lib/entries/publisher.js'
import { nextLog, type PostgresLogControls } from '../../kit/postgres-engine.js'
import { dataOf, startProcess, startProcesses, waitForEvents } from '../../kit/processes.js'
import { serve } from '../../kit/server.js'

function withLog(title: string, run: (t: Test, log: PostgresLogControls, client: pg.Client) => Promise<void>) {
  t.test(title, async (t) => {
    const log = await nextLog()
    if (log === undefined) return
    const client = new pg.Client(log.server.url)
    await client.connect()
    t.teardown(() => client.end())
    await run(t, log, client)
  })
}

withLog(
  'an event of a transaction reaches clients of every process when the transaction commits, and not before',
  async (t, log, client) => {
    const [one, two] = await startProcesses(t, log, 2)
    const clients = [
      await one.connect({ query: { topic: 'todos.7' } }),
      await two.connect({ query: { topic: 'todos.7' } })
    ]
    const { sse } = one.app
    await client.query('create temporary table todos (id integer)')

    await client.query('begin')
    await client.query('insert into todos values (7)')
    t.equal(await sse.publish({ id: 7 }, { event: 'todo.created', topic: 'todos.7', transaction: client }), '')
    t.equal(await sse.publish({ id: 8 }, { id: 'own', transaction: client }), 'own')
    await sse.publish('before', { transaction: undefined })
    await waitForEvents(clients, 1)
    await client.query('commit')
    await waitForEvents(clients, 3)

    await client.query('begin')
    await sse.publish('never', { transaction: client })
    await client.query('savepoint s')
    await client.query('rollback')
    await sse.publish('end')
    await waitForEvents(clients, 4)
    for (const { events } of clients) {
      t.match(events, [
        { data: '"before"' },
        { event: 'todo.created', data: '{"id":7}' },
        { data: '{"id":8}', id: 'own' },
        { data: '"end"' }
      ])
      t.equal(events.length, 4)
    }
  }
)

withLog('publish rejects if its transaction has failed, or is not a client of pg', async (t, log, client) => {
  const { app } = await startProcess(t, log.backplane())
  await client.query('begin')
  await client.query('select 1 / 0').catch(() => {})
  await t.rejects(app.sse.publish(1, { transaction: client }), { code: '25P02' })
  await client.query('rollback')
  await t.rejects(app.sse.publish(1, { transaction: {} as never }), {
    code: 'PYLON_SSE_ERR_INVALID_EVENT',
    message: /'transaction' got something else; it takes a client of pg/
  })
  await t.rejects(app.sse.publish(1, { transaction: null as never }), /a client of pg/)
  await t.rejects(app.sse.publish(undefined, { transaction: client }), { code: 'PYLON_SSE_ERR_UNSERIALIZABLE' })
  await app.close()
  await t.rejects(app.sse.publish(1, { transaction: client }), { code: 'PYLON_SSE_ERR_CLOSED' })
})

withLog('a publisher without clients can publish in a transaction', async (t, log, client) => {
  const process = await startProcess(t, log.backplane())
  const reader = await process.connect()
  const sse = publisher(log.backplane())
  await sse.publish(1)
  await client.query('begin')
  await sse.publish(2, { transaction: client })
  await client.query('commit')
  await sse.publish(3)
  await sse.close()
  await waitForEvents([reader], 3)
  t.strictSame(dataOf(reader), ['1', '2', '3'])
})

t.test('without Postgres as the backplane a transaction is refused', async (t) => {
  const transaction = { query: async () => t.fail('it is not used') }
  const { app } = await serve(t)
  await t.rejects(app.sse.publish(1, { transaction }), {
    code: 'PYLON_SSE_ERR_INVALID_EVENT',
    message: /there is no backplane; it takes one with postgres\(\)/
  })
  const { memoryBackplane } = await import('../../../lib/backplane/memory.js')
  const shared = await serve(t, { sse: { backplane: memoryBackplane() } })
  await t.rejects(shared.app.sse.publish(1, { transaction }), /memory has no transactions/)
})
