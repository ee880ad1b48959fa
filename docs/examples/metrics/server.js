import Fastify from 'fastify'
import metrics from 'fastify-metrics'
import pylonSse from 'pylon-sse'
import sseMetrics from 'pylon-sse/metrics'

const app = Fastify()
// #region metrics
await app.register(metrics, { endpoint: '/metrics' })
// Otherwise the minutes or hours that a stream is open would count as the latency of its request.
await app.register(pylonSse, { route: { config: { disableMetrics: true } } })
await app.register(sseMetrics)
// #endregion

app.post('/say', async (request) => {
  app.sse.broadcast(request.body)
  return { clients: app.sse.clientCount }
})

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
