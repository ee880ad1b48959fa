import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const app = Fastify()

// #region snapshot
const tasks = new Map()

await app.register(pylonSse, {
  async onConnect(client) {
    client.send([...tasks.values()], { event: 'snapshot' })
  }
})

app.put('/tasks/:id', async (request) => {
  const task = { ...request.body, id: request.params.id }
  tasks.set(task.id, task)
  app.sse.broadcast(task, { event: 'task' })
  return task
})
// #endregion

const page = await readFile(new URL('page.html', import.meta.url))
app.get('/', (_request, reply) => reply.type('text/html').send(page))

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
