import fp from 'fastify-plugin'
import pylonSse from 'pylon-sse'

// With fastify-plugin, so that the routes, which are registered elsewhere, have `app.sse`.
export default fp(async (app) => {
  await app.register(pylonSse)
})
