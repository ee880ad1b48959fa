import t from 'tap'
import type { SseClient } from '../../lib/index.js'
import { deferred } from '../kit/deferred.js'
import { serve } from '../kit/server.js'
import { blockedClient, ON_UNIX_SOCKET } from '../kit/slow-reader.js'

t.test('clientCount and clients tell which clients are connected', async (t) => {
  const s = await serve(t)
  const { clients } = s.app.sse
  const idsOf = (some: Iterable<SseClient>) => Array.from(some, ({ id }) => id)
  t.equal(s.app.sse.clientCount, 0)
  t.strictSame(idsOf(clients), [])

  const streams = [await s.connect(), await s.connect(), await s.connect()]
  t.equal(s.app.sse.clientCount, 3)
  const ids = idsOf(s.app.sse.clients)
  t.equal(new Set(ids).size, 3)
  t.strictSame(idsOf(clients), ids, 'also where it was asked for before, and has been gone through before')

  for (const client of clients) if (client.id === ids[1]) client.close()
  await streams[1]!.waitForEnd()
  t.equal(s.app.sse.clientCount, 2)
  t.strictSame(idsOf(clients), [ids[0], ids[2]])

  for (const client of clients) client.close()
  t.equal(s.app.sse.clientCount, 0, 'all of them, although each takes itself out on the way')
  t.strictSame(idsOf(clients), [])
})

t.test('stats() counts clients that were accepted, and requests that were rejected, by reason', async (t) => {
  const s = await serve(t, { sse: { maxClientsPerIp: 2, overLimit: 'status' } })
  const none = { notAcceptable: 0, tooManyClients: 0, closing: 0 }
  t.match(s.app.sse.stats(), { connected: 0, accepted: 0, rejected: none })
  const [first] = [await s.connect(), await s.connect()]
  for (let i = 0; i < 3; i++) t.equal((await s.connect()).status, 429)
  for (let i = 0; i < 2; i++) t.equal((await s.connect({ headers: { accept: 'text/html' } })).status, 406)
  await s.connect({ method: 'HEAD' })
  t.match(s.app.sse.stats(), { connected: 2, accepted: 2, rejected: { ...none, tooManyClients: 3, notAcceptable: 2 } })
  for (const client of s.app.sse.clients) client.close()
  await first.waitForEnd()
  await s.connect()
  t.match(s.app.sse.stats(), { connected: 1, accepted: 3 })
})

t.test('stats() counts events, their deliveries, and the bytes of the streams', async (t) => {
  const s = await serve(t, { sse: { retry: 100, history: { events: 2 }, queueDepth: 1 } })
  const clients = [await s.connect(), await s.connect()]
  s.app.sse.broadcast({ a: 'ü' })
  s.app.sse.broadcastMessage('two\nlines', { event: 'name' })
  await s.app.sse.publish(1, { id: 'own' })
  await Promise.all(clients.map((client) => client.take(3)))
  t.match(s.app.sse.stats(), { events: 3, deliveries: 6 })

  clients.push(await s.connect({ lastEventId: 'own' }), await s.connect({ lastEventId: 'unknown' }))
  await clients[3]!.next()
  for (const client of s.app.sse.clients) client.send('to one')
  s.app.sse.broadcast('the last')
  for (const client of clients) await client.until(({ data }) => data === '"the last"')
  t.equal(s.app.sse.stats().events, 4, 'what goes to one client alone is not broadcast')
  t.throws(() => s.app.sse.broadcast(undefined))
  t.equal(s.app.sse.stats().events, 4, 'nor is what was refused')

  await s.app.close()
  await Promise.all(clients.map((client) => client.waitForEnd()))
  const bytes = clients.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0)
  t.equal(s.app.sse.stats().bytes, bytes)
})

t.test('stats() counts resyncs by their reason, and the events that were dropped', async (t) => {
  const s = await serve(t, { ...ON_UNIX_SOCKET, sse: { shards: 1, history: { events: 2 }, queueDepth: 2 } })
  const reader = await s.connect()
  const none = { overflow: 0, expired: 0, unknown: 0, backplane: 0 }
  t.match(s.app.sse.stats(), { resyncs: none, dropped: 0 })
  const first = await s.app.sse.publish(1)
  for (const n of [2, 3, 4]) s.app.sse.broadcast(n)
  await reader.take(4)
  for (const lastEventId of [first, 'unknown', 'unknown']) await (await s.connect({ lastEventId })).next()
  t.match(s.app.sse.stats(), { resyncs: { ...none, expired: 1, unknown: 2 }, dropped: 0 })

  const stuck = await blockedClient(s, reader)
  for (let n = 5; n <= 11; n++) s.app.sse.broadcast(n)
  await reader.take(7)
  t.match(s.app.sse.stats(), { resyncs: { ...none, expired: 1, unknown: 2 }, dropped: 5 }, 'it cannot be told yet')
  stuck.resume()
  await stuck.until(({ data }) => data === '11')
  t.match(s.app.sse.stats(), { resyncs: { overflow: 1, expired: 1, unknown: 2, backplane: 0 }, dropped: 5 })
})

t.test('stats() says by how many events the slowest client is behind', async (t) => {
  const gone = deferred<void>()
  const s = await serve(t, { ...ON_UNIX_SOCKET, sse: { ...ON_UNIX_SOCKET.sse, onDisconnect: () => gone.resolve() } })
  const reader = await s.connect()
  t.equal(s.app.sse.stats().slowestLag, 0)
  const stuck = await blockedClient(s, reader)
  for (let n = 1; n <= 5; n++) s.app.sse.broadcast(n)
  await reader.take(5)
  const late = await blockedClient(s, reader)
  s.app.sse.broadcast('the last')
  await reader.next()
  t.equal(s.app.sse.stats().slowestLag, 7)
  stuck.resume()
  await stuck.until(({ data }) => data === '"the last"')
  t.equal(s.app.sse.stats().slowestLag, 1)
  await late.close()
  await gone.promise
  s.app.sse.broadcast('seen by the rest')
  await reader.next()
  t.equal(s.app.sse.stats().slowestLag, 0)
})

t.test('stats() returns plain figures, which later events do not change', async (t) => {
  const s = await serve(t)
  const before = s.app.sse.stats()
  const copy = structuredClone(before)
  t.strictSame(JSON.parse(JSON.stringify(before)), copy)
  const client = await s.connect()
  s.app.sse.broadcast('event')
  await client.next()
  await s.app.close()
  t.strictSame(before, copy)
  before.disconnects.shutdown = 7
  t.equal(s.app.sse.stats().disconnects.shutdown, 1)
})
