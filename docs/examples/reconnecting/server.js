import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const app = Fastify()
const items = []

await app.register(pylonSse, {
  cors: false,
  authorizeTopics: () => ['list.shopping']
})

app.get('/items', async () => items)

app.post('/items', async (request) => {
  const item = { id: items.length + 1, text: String(request.body.text) }
  items.push(item)
  app.sse.broadcast(item, { event: 'item', topic: 'list.shopping' })
  return item
})

// Ends the streams of all pages for good. A real app would check who asks.
app.delete('/pages', async () => ({ sentAway: app.sse.disconnect(() => true, { reconnect: false }) }))

for (const [path, file, type] of [
  ['/', 'page.html', 'text/html'],
  ['/live.js', 'live.js', 'text/javascript']
]) {
  const content = await readFile(new URL(file, import.meta.url))
  app.get(path, (_request, reply) => reply.type(type).send(content))
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
