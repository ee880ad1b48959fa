import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import pylonSse from '../../lib/index.js'
import { stopClock } from '../kit/clock.js'
import { LogLines } from '../kit/log-lines.js'
import { withTimeout } from '../kit/patience.js'
import { serve } from '../kit/server.js'
import { KERNEL_HOLDS, stuckClient } from '../kit/slow-reader.js'

/** Stops the clock when the app begins to close: its clients then have all the time that they need to read on. */
function takesItsTime(t: Test) {
  return (app: FastifyInstance) => {
    app.addHook('preClose', async () => void stopClock(t))
  }
}

t.test('a compressed client that has much to read when the app closes gets all of it', async (t) => {
  const s = await serve(t, { sse: { compress: true }, setup: takesItsTime(t) })
  const client = await s.connect({ headers: { 'accept-encoding': 'gzip' } })
  for (let n = 1; n <= 40; n++) s.app.sse.broadcastMessage(`${n} ${'x'.repeat(8000)}`)
  await withTimeout(s.app.close(), 'app.close()')
  await client.waitForEnd()
  t.strictSame(
    client.events.filter(({ data }) => data.endsWith('x')).map(({ data }) => Number.parseInt(data, 10)),
    Array.from({ length: 40 }, (_, i) => i + 1)
  )
})

t.test('a broadcast after the app has closed goes nowhere and says so once, publish rejects', async (t) => {
  const log = new LogLines()
  const { app, connect } = await serve(t, { fastify: { logger: { level: 'warn', stream: log } } })
  const client = await connect()
  app.sse.broadcast('before')
  await app.close()
  await client.waitForEnd()
  t.strictSame(log.lines, [])
  app.sse.broadcast('after')
  app.sse.broadcastMessage('after')
  await t.rejects(app.sse.publish('after'), { code: 'PYLON_SSE_ERR_CLOSED' })
  t.match(log.lines, [{ level: 40, msg: /closed/ }])
  t.equal(log.lines.length, 1)
  t.equal(client.events.length, 1)
  t.match(app.sse.stats(), { events: 1, deliveries: 1 })
})

t.test('what preClose hooks of the app broadcast reaches every client, wherever they were added', async (t) => {
  const s = await serve(t, {
    sse: false,
    setup: async (app) => {
      app.addHook('preClose', async () => app.sse.broadcast('added before'))
      await app.register(pylonSse)
      app.addHook('preClose', async () => {
        t.equal(app.sse.ready, false, 'who comes now should go elsewhere')
        app.sse.broadcast('added after')
      })
    }
  })
  const client = await s.connect()
  await s.app.close()
  await client.waitForEnd()
  t.strictSame(
    client.events.map(({ data }) => data),
    ['"added before"', '"added after"']
  )
})

t.test('a client that is behind when the app closes, and reads, also gets what was sent to it alone', async (t) => {
  const s = await serve(t, { transport: 'unix', setup: takesItsTime(t) })
  const reader = await s.connect()
  const behind = await stuckClient(s)
  s.app.sse.broadcastMessage('x'.repeat(KERNEL_HOLDS.unix))
  await reader.next()
  for (const client of s.app.sse.clients) client.send('to one')
  const closed = s.app.close()
  await reader.waitForEnd()
  behind.resume()
  await behind.waitForEnd()
  t.equal(behind.events.at(-1)?.data, '"to one"')
  t.equal(behind.events.length, 2)
  t.equal(behind.retries.length, 1, 'the farewell')
  await withTimeout(closed, 'app.close()')
})
