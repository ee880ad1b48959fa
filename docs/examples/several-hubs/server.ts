import { createHash, timingSafeEqual } from 'node:crypto'
import Fastify from 'fastify'
import pylonSse, { type PylonSseOptions, type Sse } from 'pylon-sse'

declare module 'fastify' {
  interface FastifyInstance {
    adminSse: Sse // `sse` is declared already
  }
}

const token = process.env.ADMIN_TOKEN
if (!token) throw new Error('ADMIN_TOKEN must be set: openssl rand -hex 32')
const digest = (text: string) => createHash('sha256').update(text).digest()
const expected = digest(`Bearer ${token}`)

const options: PylonSseOptions = {
  path: '/admin/events',
  decorator: 'adminSse',
  maxClientsPerIp: 4,
  route: {
    async onRequest(request, reply) {
      const given = digest(request.headers.authorization ?? '')
      if (!timingSafeEqual(given, expected)) return reply.code(401).send({ message: 'this takes a bearer token' })
    }
  }
}

const app = Fastify()
await app.register(pylonSse)
await app.register(pylonSse, options)

app.post('/say', async (request) => {
  app.sse.broadcast(request.body)
  app.adminSse.broadcast({ said: request.body, by: request.ip })
  return {}
})

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
