import { createReadStream } from 'node:fs'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const app = Fastify()
await app.register(pylonSse) // GET /events, and app.sse

app.post('/say', async (request) => {
  app.sse.broadcast(request.body)
  return { clients: app.sse.clientCount }
})

const page = new URL('page.html', import.meta.url)
const client = new URL(import.meta.resolve('pylon-sse/client.min.js'))
app.get('/', (_request, reply) => reply.type('text/html').send(createReadStream(page)))
app.get('/client.js', (_request, reply) => reply.type('text/javascript').send(createReadStream(client)))

console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
