import Fastify from 'fastify'
import pg from 'pg'
import pylonSse from 'pylon-sse'
import { postgres } from 'pylon-sse/postgres'

const app = Fastify()
// #region register
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
pool.on('error', (error) => app.log.warn(error)) // a lost connection, which is replaced
await app.register(pylonSse, {
  backplane: postgres({ pool, migrate: true }),
  authorizeTopics: () => ['todos']
})
// #endregion
app.addHook('onClose', () => pool.end())

// #region transaction
app.post('/todos', async (request) => {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const { rows } = await client.query('insert into todos (title) values ($1) returning *', [request.body.title])
    await app.sse.publish(rows[0], { event: 'todo.created', topic: 'todos', transaction: client })
    await client.query('commit')
    return rows[0]
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
})
// #endregion

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
