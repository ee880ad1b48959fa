import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import './events.js'

const app = Fastify()
await app.register(pylonSse, {
  onConnect(client) {
    client.state = { user: 'ann' } // the fields are checked
  }
})

let count = 0
app.post<{ Body: { title: string } }>('/todos', async (request) => {
  const todo = { id: ++count, title: request.body.title }
  // #region broadcast
  app.sse.broadcast(todo, { event: 'todo.created' }) // name and data are checked
  app.sse.broadcast('anything') // an event without a name takes any data
  // #endregion
  return todo
})

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
