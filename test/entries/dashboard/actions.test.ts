import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import sseDashboard from '../../../lib/entries/dashboard/dashboard.js'
import pylonSse from '../../../lib/index.js'
import { serve } from '../../kit/server.js'
import { OPEN, snapshots, watched } from '../../kit/watched-hub.js'

t.test('the dashboard can close one client, or pause it so that it falls behind until it is resumed', async (t) => {
  const s = await watched(t, { ...OPEN, pauseTime: 600_000 }, { queueDepth: 3 })
  const act = async (id: string, action: string, headers = {}) =>
    (await s.app.inject({ method: 'POST', url: `/sse-dashboard/clients/${id}/${action}`, headers })).statusCode
  const one = await s.connect()
  const two = await s.connect()
  const [first, second] = s.app.sse.clients
  const watching = await snapshots(s)
  t.equal(await act(first!.id, 'pause'), 204)
  t.equal(await act(first!.id, 'pause'), 204, 'twice is once')
  for (let n = 1; n <= 2; n++) s.app.sse.broadcast(n)
  await two.take(2)
  const paused = await watching.until(({ stats }) => stats.slowestLag === 2)
  t.match(paused.clients, [
    { id: first!.id, lag: 2, isPaused: true },
    { id: second!.id, lag: 0, isPaused: false }
  ])
  t.equal(await act(first!.id, 'resume'), 204)
  t.strictSame(
    (await one.take(2)).map(({ data }) => data),
    ['1', '2'],
    'it has missed nothing'
  )

  t.equal(await act(first!.id, 'pause'), 204)
  for (let n = 3; n <= 8; n++) s.app.sse.broadcast(n)
  await two.take(6)
  t.equal(await act(first!.id, 'resume'), 204)
  t.match(await one.next(), { event: 'resync', data: '{"reason":"overflow","missed":3}' }, 'as any slow client')
  await one.take(3)
  t.equal(await act(first!.id, 'resume'), 204, 'of one that is not paused it does nothing')

  t.equal(await act(second!.id, 'close', { 'sec-fetch-site': 'cross-site' }), 403, 'not by a page of another origin')
  t.equal(await act(second!.id, 'close'), 204)
  await two.waitForEnd()
  t.equal(await act(second!.id, 'close'), 404)
  t.equal(await act(second!.id, 'pause'), 404)
  t.match(await watching.until(({ disconnects }) => disconnects.length > 0), { disconnects: [{ reason: 'closed' }] })
})

t.test('a pause ends by itself, and with the app, and a paused client can disconnect', async (t) => {
  const s = await watched(t, { ...OPEN, pauseTime: 100 })
  const stream = await s.connect()
  const pause = async () => {
    const [client] = s.app.sse.clients
    return s.app.inject({ method: 'POST', url: `/sse-dashboard/clients/${client!.id}/pause` })
  }
  await pause()
  s.app.sse.broadcast(1)
  t.equal((await stream.next()).data, '1')
  await stream.close()

  const long = await watched(t, { ...OPEN, pauseTime: 600_000 })
  const streams = [await long.connect(), await long.connect()]
  const [first, second] = long.app.sse.clients
  for (const { id } of [first!, second!]) {
    await long.app.inject({ method: 'POST', url: `/sse-dashboard/clients/${id}/pause` })
  }
  long.app.sse.broadcast('before the end')
  first!.close()
  await streams[0]!.waitForEnd()
  await long.app.close()
  await streams[1]!.waitForEnd()
  t.equal((await streams[1]!.next()).data, '"before the end"', 'it is given what was broadcast')
})

t.test('a client that is paused while its socket is full stays so when the socket drains', async (t) => {
  const sockets: Socket[] = []
  const s = await serve(t, {
    transport: 'unix',
    sse: false,
    setup: async (app) => {
      app.addHook('onRequest', async (request) => void sockets.push(request.raw.socket))
      await app.register(pylonSse)
      await app.register(sseDashboard, { ...OPEN, pauseTime: 600_000 })
    }
  })
  const slow = await s.connect()
  const [socket] = sockets
  slow.pause()
  for (let n = 1; n <= 4; n++) {
    s.app.sse.broadcast(`${n}${'x'.repeat(1_000_000)}`)
    await turn()
  }
  const [client] = s.app.sse.clients
  const act = (action: string) =>
    s.app.inject({ method: 'POST', url: `/sse-dashboard/clients/${client!.id}/${action}` })
  const { slowestLag } = s.app.sse.stats()
  t.ok(slowestLag > 0, 'its socket is full')
  await act('pause')
  const drained = once(socket!, 'drain')
  slow.resume()
  await drained
  t.equal(s.app.sse.stats().slowestLag, slowestLag)
  await act('resume')
  t.equal((await slow.take(4)).at(-1)!.data[1], '4')
})
