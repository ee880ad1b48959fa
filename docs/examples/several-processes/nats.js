import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
// #region import
import { jetStream } from 'pylon-sse/jetstream'

// #endregion

const app = Fastify({ trustProxy: process.env.TRUST_PROXY ?? '127.0.0.1' })

// #region register
await app.register(pylonSse, { backplane: jetStream({ servers: process.env.NATS_URL ?? 'nats://localhost:4222' }) })
// #endregion

app.post('/say', async (request) => {
  const id = await app.sse.publish(request.body)
  return { id }
})

app.get('/ready', (_request, reply) => reply.code(app.sse.ready ? 204 : 503).send())

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? 'localhost' }))
