import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
// #region import
import { redisStreams } from 'pylon-sse/redis-streams'

// #endregion

const app = Fastify({ trustProxy: process.env.TRUST_PROXY ?? '127.0.0.1' })

// #region register
await app.register(pylonSse, { backplane: redisStreams({ url: process.env.REDIS_URL ?? 'redis://localhost:6379' }) })
// #endregion

app.post('/say', async (request) => {
  const id = await app.sse.publish(request.body)
  return { id }
})

// #region ready
app.get('/ready', (_request, reply) => reply.code(app.sse.ready ? 204 : 503).send())
app.get('/live', () => ({ alive: true }))
// #endregion

// #region disconnect
app.delete('/clients/:id', async ({ params }) => {
  app.sse.disconnect({ id: params.id }) // on all processes
  return { here: app.sse.clientCount }
})
// #endregion

app.addHook('onRequest', async (_request, reply) => {
  reply.header('x-served-by', process.pid)
})

// #region signals
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
// #endregion
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? 'localhost' }))
