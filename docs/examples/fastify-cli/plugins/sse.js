import fp from 'fastify-plugin'
import pylonSse from 'pylon-sse'

// fastify-plugin gives `app.sse` to the routes, which are registered elsewhere.
export default fp(async (app) => {
  await app.register(pylonSse)
})
