import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { rowsOf } from './database.js'
import { addLogin, authenticate } from './login.js'

const app = Fastify()
await addLogin(app)
await app.register(pylonSse, { path: false })

// #region rows
app.post('/queries', { onRequest: authenticate }, async (request, reply) => {
  let count = 0
  const work = app.sse.run(
    async function* ({ signal }) {
      for await (const row of rowsOf(request.body.from, signal)) {
        count++
        yield row
      }
      return { count }
    },
    // The client gets the rows by this response alone: without it they are of no use.
    { topic: `query.${randomUUID()}`, event: 'row', signal: request.signal, linger: 0 }
  )
  return app.sse.stream(request, reply, work.stream)
})
// #endregion

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
