import { createHash, timingSafeEqual } from 'node:crypto'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const token = process.env.PUBLISH_TOKEN
if (!token) throw new Error('PUBLISH_TOKEN must be set: openssl rand -hex 32')

/** Digests have equal lengths, which a comparison in constant time needs. */
const digest = (text) => createHash('sha256').update(text).digest()
const expected = digest(`Bearer ${token}`)

const app = Fastify()

await app.register(pylonSse, {
  authorizeTopics: () => ['orders.*'], // for everybody, here
  publish: {
    async onRequest(request, reply) {
      const given = digest(request.headers.authorization ?? '')
      if (!timingSafeEqual(given, expected)) return reply.code(401).send({ message: 'this takes a bearer token' })
    }
  }
})

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
