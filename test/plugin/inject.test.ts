import fastify from 'fastify'
import t from 'tap'
import pylonSse from '../../lib/index.js'

t.test(
  'an inject that would wait for the end of a stream ends with an error that says how to ask for one',
  async (t) => {
    const app = fastify()
    t.teardown(() => app.close())
    await app.register(pylonSse)
    for (const whole of [await app.inject('/events'), await app.inject({ url: '/events', payloadAsStream: false })]) {
      t.equal(whole.statusCode, 500)
      t.match(whole.json(), {
        code: 'PYLON_SSE_ERR_INJECT',
        message: /app\.inject\(\{ url, payloadAsStream: true \}\)/
      })
    }
    t.equal(app.sse.clientCount, 0)
    const stream = await app.inject({ url: '/events', payloadAsStream: true })
    t.equal(stream.statusCode, 200)
    t.equal(app.sse.clientCount, 1)
  }
)

t.test('what ends by itself can be injected as it is', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(pylonSse, { maxClients: 1, overLimit: 'retry' })
  t.equal((await app.inject({ url: '/events', method: 'HEAD' })).statusCode, 200)
  t.match((await app.inject({ url: '/events', headers: { accept: 'application/json' } })).json(), { events: [] })
  await app.inject({ url: '/events', payloadAsStream: true })
  t.match((await app.inject('/events')).body, /^retry: \d+\n/, 'past a limit')
})
