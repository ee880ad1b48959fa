import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const app = Fastify()
await app.register(pylonSse, {
  cors: false,
  retry: Number(process.env.RETRY ?? 1000),
  // sse.js keeps in memory all that it has read. Both libraries resume when a stream has ended.
  maxConnectionAge: Number(process.env.MAX_AGE ?? 3_600_000)
})

app.post('/say', async ({ body }) => {
  app.sse.broadcast(body)
  return { clients: app.sse.clientCount }
})

// Ends the streams of all pages for good. A real app would check who asks.
app.delete('/pages', async () => ({ sentAway: app.sse.disconnect(() => true, { reconnect: false }) }))

for (const [path, file, type] of [
  ['/fetch', './fetch.html', 'text/html'],
  ['/sse', './sse.html', 'text/html'],
  ['/sse.js', 'sse.js', 'text/javascript'],
  // Stands for a bundler.
  ['/fetch-event-source/index', '@microsoft/fetch-event-source/lib/esm/index.js', 'text/javascript'],
  ['/fetch-event-source/fetch', '@microsoft/fetch-event-source/lib/esm/fetch.js', 'text/javascript'],
  ['/fetch-event-source/parse', '@microsoft/fetch-event-source/lib/esm/parse.js', 'text/javascript']
]) {
  const content = await readFile(new URL(import.meta.resolve(file)))
  app.get(path, (_request, reply) => reply.type(type).send(content))
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
