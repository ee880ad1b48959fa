import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const app = Fastify()
await app.register(pylonSse) // GET /events, and app.sse

app.post('/say', async (request) => {
  app.sse.broadcast(request.body)
  return { clients: app.sse.clientCount }
})

console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
