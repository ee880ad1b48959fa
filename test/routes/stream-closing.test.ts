import t from 'tap'
import { gate } from '../kit/deferred.js'
import { serveHeld } from '../kit/held-app.js'

t.test('closing ends such streams, and answers requests that arrive meanwhile', async (t) => {
  const held = gate()
  let waiting = 0
  const s = await serveHeld(t, {
    setup: (app) => {
      app.get('/stream', (request, reply) => app.sse.stream(request, reply))
      const onSend = async (_request: unknown, _reply: unknown, payload: unknown) => {
        waiting++
        await held.pass()
        return payload
      }
      app.get('/held', { onSend }, (request, reply) => app.sse.stream(request, reply))
    }
  })
  const client = await s.connect({ path: '/stream' })
  const lenient = s.connect({ path: '/held' })
  const strict = s.connect({ path: '/held', headers: { accept: '*/*' } })
  while (waiting < 2) await new Promise(setImmediate)
  const closing = s.app.close()
  await s.streamsEnded
  await client.waitForEnd()
  t.ok(await client.waitForRetry())
  held.open()
  const late = await lenient
  await late.waitForEnd()
  t.equal(late.status, 200)
  t.ok(await late.waitForRetry(), 'an EventSource is told when to come back')
  t.equal((await strict).status, 503)
  s.closeServer()
  await closing
})

t.test('while the app closes, an EventSource on such a route is told when to reconnect', async (t) => {
  const held = gate()
  let slow = 0
  const s = await serveHeld(t, {
    setup: (app) => {
      app.get('/rooms/:id/events', (request, reply) => app.sse.stream(request, reply))
      app.get('/files/*', (request, reply) => app.sse.stream(request, reply))
      app.get('/slow', async () => {
        slow++
        return held.pass().then(() => 'slow')
      })
    }
  })
  const clients = [await s.connect({ path: '/rooms/1/events' }), await s.connect({ path: '/files/a/b' })]
  // Each on a connection that was there before.
  const busy = await Promise.all(Array.from({ length: 4 }, () => s.connect({ path: '/slow', waitForHead: false })))
  while (slow < busy.length) await new Promise(setImmediate)
  const closing = s.app.close()
  await s.streamsEnded
  for (const client of clients) await client.waitForEnd()
  const asked = [
    busy[0]!.request({ path: '/rooms/2/events' }),
    busy[1]!.request({ path: '/rooms/2/events', headers: { accept: '*/*' } }),
    busy[2]!.request({ path: '/files/c' }),
    busy[3]!.request({ path: '/rooms/2/other' })
  ]
  held.open()
  await Promise.all(asked.map((answer) => answer.head()))
  t.strictSame(
    asked.map(({ status }) => status),
    [200, 503, 503, 503]
  )
  t.ok(await asked[0]!.waitForRetry())
  s.closeServer()
  await closing
})
