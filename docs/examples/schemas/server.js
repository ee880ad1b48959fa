import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const app = Fastify()

// #region swagger
await app.register(swagger, { openapi: { openapi: '3.2.0', info: { title: 'Todos', version: '1.0.0' } } })
// #endregion

// #region events
const todo = {
  type: 'object',
  required: ['id', 'title'],
  properties: {
    id: { type: 'integer' },
    title: { type: 'string' },
    due: { type: ['string', 'null'], format: 'date-time' }
  }
}

await app.register(pylonSse, { events: { 'todo.created': todo } })
// #endregion

// #region broadcast
let count = 0
app.post('/todos', async (request) => {
  const row = { id: ++count, title: request.body.title, due: null, author: request.ip }
  app.sse.broadcast(row, { event: 'todo.created' })
  // data: {"id":1,"title":"Write","due":null}
  return { id: row.id }
})
// #endregion

app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
