import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const https = {
  allowHTTP1: true, // for clients that do not speak HTTP/2
  key: await readFile(process.env.TLS_KEY ?? 'key.pem'),
  cert: await readFile(process.env.TLS_CERT ?? 'cert.pem')
}
const app = Fastify({ http2: true, https })
await app.register(pylonSse)

app.post('/say', async (request) => {
  app.sse.broadcast(request.body)
  return { clients: app.sse.clientCount }
})

const page = await readFile(new URL('page.html', import.meta.url))
app.get('/', (_request, reply) => reply.type('text/html').send(page))

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
