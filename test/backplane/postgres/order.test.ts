import pg from 'pg'
import t from 'tap'
import { ContractListener } from '../../../lib/backplane/contract/listener.js'
import { AMPLE } from '../../../lib/backplane/contract/log.js'
import { nextLog, type PostgresLogControls } from '../../kit/postgres-engine.js'

const WRITERS = 50
const TRANSACTIONS = 3
const PATIENCE = 60_000

interface Said {
  tx: string
  k: number
  /** What a row had that each transaction with it has counted up: its lock orders their commits. */
  turn?: number
}

/** A transaction, which may fail as a serializable one does. @returns what it has committed */
async function tryToWrite(client: pg.PoolClient, log: PostgresLogControls, tx: string): Promise<Said[]> {
  try {
    return await write(client, log, tx)
  } catch (error) {
    if ((error as { code?: string }).code !== '40001') throw error
    await client.query('rollback')
    return []
  }
}

/** A transaction of random length, with savepoints. */
async function write(client: pg.PoolClient, { schema }: PostgresLogControls, tx: string): Promise<Said[]> {
  const said: Said[] = []
  const pause = () => client.query('select pg_sleep(random() * 0.02)')
  const say = async (turn?: number) => {
    const event: Said = { tx, k: said.length + 1, ...(turn !== undefined && { turn }) }
    await client.query(`select ${schema}.publish($1::text)`, [JSON.stringify(event)])
    said.push(event)
  }
  const isCounting = Math.random() < 0.6
  // Who counts would fail for each other's turns.
  await client.query(`begin isolation level ${!isCounting && Math.random() < 0.5 ? 'serializable' : 'read committed'}`)
  for (let i = Math.floor(Math.random() * 3); i > 0; i--) await say()
  await pause()
  if (Math.random() < 0.4) {
    await client.query('savepoint s')
    const before = said.length
    await say()
    await say()
    if (Math.random() < 0.5) {
      await client.query('rollback to savepoint s')
      said.length = before
    }
    await client.query('release savepoint s')
  }
  if (isCounting) {
    const { rows } = await client.query('update turns set n = n + 1 returning n')
    await say(rows[0].n)
    if (Math.random() < 0.2) await pause()
  }
  await say()
  const { command } = await client.query(Math.random() < 0.25 ? 'rollback' : 'commit')
  return command === 'COMMIT' ? said : []
}

t.test('events of concurrent transactions come once, in the order of the commits, whatever rolls back', async (t) => {
  const log = await nextLog()
  if (log === undefined) return
  const { server } = log
  const backplane = log.backplane()
  const listener = new ContractListener(PATIENCE)
  await backplane.join(AMPLE, listener)
  listener.hasJoined()
  await server.admin.query('create table turns (n integer); insert into turns values (0)')
  const pool = new pg.Pool({ connectionString: server.url, max: WRITERS + 1 })
  // It has written, and stays open: its transaction id is below all that follow.
  const long = await pool.connect()
  await long.query(`begin; create temporary table t (n integer); select ${log.schema}.publish('"long"')`)

  const committed: Said[] = []
  const run = async (writer: number) => {
    const client = await pool.connect()
    for (let i = 0; i < TRANSACTIONS; i++) committed.push(...(await tryToWrite(client, log, `${writer}-${i}`)))
    client.release()
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => run(writer)))
  await listener.until(committed.length)
  t.pass('a transaction that is still open holds up no other')
  await long.query('commit')
  await listener.until(committed.length + 1)
  const heard = listener.entries.map(({ message }) => JSON.parse(message.body.slice('data: '.length)) as Said)
  t.equal(heard.pop(), 'long')
  await backplane.close()
  long.release()
  await pool.end()

  t.ok(committed.length > WRITERS)
  t.strictSame(heard.map(key).sort(), committed.map(key).sort(), 'all that was committed comes once, and nothing else')
  const turns = heard.flatMap(({ turn }) => turn ?? [])
  t.strictSame(
    turns,
    turns.map((_turn, i) => i + 1),
    'whoever has committed after another is heard after it'
  )
  const runs = heard.filter(({ tx }, i) => heard[i - 1]?.tx !== tx)
  t.equal(runs.length, new Set(heard.map(({ tx }) => tx)).size, 'the events of a transaction come together')
  t.ok(
    heard.every(({ tx, k }, i) => heard[i - 1]?.tx !== tx || heard[i - 1]!.k < k),
    'and in their order'
  )

  const late = new ContractListener(PATIENCE)
  const other = log.backplane()
  const { history } = await other.join(AMPLE, late)
  await other.close()
  t.strictSame(
    history.map(({ cursor, messageId }) => [cursor, messageId]),
    listener.entries.map(({ cursor, messageId }) => [cursor, messageId]),
    'whoever joins later reads the same order'
  )
})

function key({ tx, k }: Said): string {
  return `${tx} ${k}`
}
