import { createHook } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t from 'tap'
import { redisStreams } from '../../lib/backplane/redis/redis-streams.js'
import type { PublishMessage, SseClient } from '../../lib/index.js'
import { stopClock } from '../kit/clock.js'
import { Heard } from '../kit/diagnostics.js'
import { LogLines } from '../kit/log-lines.js'
import { startRedis } from '../kit/redis-server.js'
import { serve } from '../kit/server.js'
import { KERNEL_HOLDS, stuckClient } from '../kit/slow-reader.js'

t.test('client:connect tells of a stream whose head is out, with its request and the time that took', async (t) => {
  const clock = stopClock(t)
  const heard = new Heard(t, 'pylon-sse:client:connect')
  const order: string[] = []
  const s = await serve(t, {
    fastify: { logger: { level: 'silent', stream: new LogLines() } },
    sse: {
      route: {
        onRequest: async () => clock.advance(70)
      },
      onConnect: () => void order.push(`onConnect after ${heard.messages.length}`)
    }
  })
  await s.connect({ query: { seat: '7' } })
  const { sse, client, request, opening } = await heard.at(0)
  t.equal(sse, s.app.sse)
  t.equal(client.id, [...s.app.sse.clients][0]!.id)
  t.equal(request.url, '/events?seat=7')
  t.equal(opening, 70)
  t.strictSame(order, ['onConnect after 1'])
})

t.test('client:connect takes the time from the admission on, where Fastify takes none', async (t) => {
  const heard = new Heard(t, 'pylon-sse:client:connect')
  const s = await serve(t)
  await s.connect()
  const { opening } = await heard.at(0)
  t.ok(opening >= 0 && opening < 60_000, `${opening} ms`)
})

t.test('client:disconnect tells the reason and how long the stream was open, once', async (t) => {
  const clock = stopClock(t)
  const heard = new Heard(t, 'pylon-sse:client:disconnect')
  const s = await serve(t)
  const stream = await s.connect()
  const [client] = s.app.sse.clients
  clock.advance(90_000)
  client!.close()
  await stream.waitForEnd()
  await s.app.close()
  t.equal(heard.messages.length, 1)
  t.match(heard.messages[0], { client: { id: client!.id }, reason: 'closed', duration: 90_000 })
  t.equal(heard.messages[0]!.sse, s.app.sse)
})

t.test('client:replay tells how many events a client is given that came back, of those that it hears', async (t) => {
  const heard = new Heard(t, 'pylon-sse:client:replay')
  const s = await serve(t, { sse: { authorizeTopics: () => true } })
  const first = await s.app.sse.publish(0)
  for (let n = 1; n <= 5; n++) s.app.sse.broadcast(n, n % 2 === 1 ? { topic: 'odd' } : {})
  await (await s.connect({ lastEventId: first })).take(2)
  t.match(await heard.at(0), { events: 2, client: { resumed: true } })
  await (await s.connect({ query: { topic: 'odd' }, lastEventId: first })).take(5)
  t.match(await heard.at(1), { events: 5 })
  await (await s.connect({ query: { lastEventId: '0' } })).take(3)
  t.match(await heard.at(2), { events: 3, client: { resumed: false } }, 'also one that asks for the oldest')
  await s.connect({ lastEventId: await s.app.sse.publish('last') })
  t.match(await heard.at(3), { events: 0 }, 'and one that has missed nothing')
  await s.connect()
  t.equal(heard.messages.length, 4, 'but not one that comes for the first time')
})

t.test('client:drop and client:resync tell whose events were lost, and what the client was told of it', async (t) => {
  const drops = new Heard(t, 'pylon-sse:client:drop')
  const resyncs = new Heard(t, 'pylon-sse:client:resync')
  const s = await serve(t, { transport: 'unix', sse: { shards: 1, queueDepth: 2, history: { events: 2 } } })
  const reader = await s.connect()
  const stuck = await stuckClient(s)
  const [, slow] = s.app.sse.clients
  s.app.sse.broadcastMessage('x'.repeat(KERNEL_HOLDS.unix))
  await reader.next()
  for (let n = 1; n <= 5; n++) {
    s.app.sse.broadcast(n)
    await reader.next()
  }
  t.equal((await drops.at(0)).client, slow)
  await drops.at(2)
  t.strictSame(
    drops.messages.map(({ events }) => events),
    [1, 1, 1]
  )
  t.equal(resyncs.messages.length, 0)
  stuck.resume()
  await stuck.until(({ data }) => data === '5')
  t.match(await resyncs.at(0), { reason: 'overflow', missed: 3, sse: s.app.sse })
  t.equal(resyncs.messages[0]!.client, slow)
  await (await s.connect({ lastEventId: 'of another life' })).next()
  t.match(await resyncs.at(1), { reason: 'unknown', missed: null })
})

t.test('event:publish tells of every event that is logged, with its id, name, topic and size', async (t) => {
  const heard = new Heard(t, 'pylon-sse:event:publish')
  const s = await serve(t)
  const id = await s.app.sse.publish({ n: 1 }, { event: 'counted', topic: 'numbers' })
  s.app.sse.broadcastMessage('event: forged', { id: 'own' })
  await heard.at(1)
  const { sse } = s.app
  t.strictSame(heard.messages, [
    {
      sse,
      id,
      event: 'counted',
      topic: 'numbers',
      bytes: `: topic numbers\nid: ${id}\nevent: counted\ndata: {"n":1}\n\n`.length
    },
    { sse, id: 'own', event: undefined, topic: undefined, bytes: ': text\nid: own\ndata: event: forged\n\n'.length }
  ])
})

t.test('subscribers may broadcast and close clients: order, counts and streams stay whole', async (t) => {
  const s = await serve(t, { transport: 'unix', sse: { shards: 1, queueDepth: 2 } })
  const answer = (message: unknown) => {
    const { event, id } = message as PublishMessage
    if (event === 'question') s.app.sse.broadcast(id, { event: 'answer' })
  }
  const endSlow = (message: unknown) => (message as { client: SseClient }).client.close()
  subscribe('pylon-sse:event:publish', answer)
  subscribe('pylon-sse:client:drop', endSlow)
  t.teardown(() => {
    unsubscribe('pylon-sse:event:publish', answer)
    unsubscribe('pylon-sse:client:drop', endSlow)
  })
  const reader = await s.connect()
  const ids = [await s.app.sse.publish(1, { event: 'question' }), await s.app.sse.publish(2, { event: 'question' })]
  const events = await reader.take(4)
  t.strictSame(
    events.filter(({ event }) => event === 'answer').map(({ data }) => JSON.parse(data)),
    ids
  )
  await stuckClient(s)
  s.app.sse.broadcastMessage('x'.repeat(KERNEL_HOLDS.unix))
  for (let n = 0; n < 4; n++) {
    s.app.sse.broadcast(n)
    await reader.until(({ data }) => data === String(n))
  }
  t.match(s.app.sse.stats(), { connected: 1, disconnects: { closed: 1 } })
})

t.test('shard:flush tells how long a flush took, and how long its oldest event had waited', async (t) => {
  const heard = new Heard(t, 'pylon-sse:shard:flush')
  const clock = stopClock(t)
  const s = await serve(t, { sse: { shards: 1 } })
  const clients = [await s.connect(), await s.connect()]
  s.app.sse.broadcast(1)
  clock.advance(20)
  s.app.sse.broadcast(2)
  clock.advance(5)
  await Promise.all(clients.map((client) => client.take(2)))
  t.match(await heard.at(0), { sse: s.app.sse, clients: 2, duration: 0, delay: 25 })
  t.equal(heard.messages.length, 1, 'one flush for both')
})

t.test('a subscriber that comes between a broadcast and its flush is told what can be known', async (t) => {
  const s = await serve(t, { sse: { shards: 1 } })
  const client = await s.connect()
  s.app.sse.broadcast(1)
  const heard = new Heard(t, 'pylon-sse:shard:flush')
  await client.next()
  const { duration, delay } = await heard.at(0)
  t.equal(delay, duration)
})

t.test('without subscribers nothing is told: no message is made, and no microtask for one', async (t) => {
  const s = await serve(t, { sse: { shards: 1 } })
  const client = await s.connect()
  let microtasks = 0
  const hook = createHook({
    init(_id, type) {
      if (type === 'Microtask') microtasks++
    }
  }).enable()
  t.teardown(() => hook.disable())
  s.app.sse.broadcast(1)
  const heard = new Heard(t, 'pylon-sse:event:publish')
  t.equal(microtasks, 0)
  s.app.sse.broadcast(2)
  t.equal(microtasks, 1, 'the hook sees those that there are')
  await client.take(2)
  t.equal(heard.messages.length, 1)
})

t.test('backplane:state tells when the engine comes, goes and comes again, and that the app leaves it', async (t) => {
  const server = await startRedis(t)
  if (server === undefined) return
  const heard = new Heard(t, 'pylon-sse:backplane:state')
  const s = await serve(t, {
    fastify: { logger: { level: 'silent', stream: new LogLines() } },
    sse: { backplane: redisStreams({ url: server.url }) }
  })
  const { sse } = s.app
  t.strictSame(await heard.at(0), { sse, name: 'redis', connected: true, error: undefined })
  await server.kill9()
  const gone = await heard.at(1)
  t.match(gone, { name: 'redis', connected: false })
  await server.start()
  t.match(await heard.at(2), { connected: true })
  await s.app.close()
  t.strictSame(heard.messages.slice(3), [{ sse, name: 'redis', connected: false, error: undefined }])
})
