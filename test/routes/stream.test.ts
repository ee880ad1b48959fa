import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import type { SseClient, StreamOptions } from '../../lib/index.js'
import { requireBinary } from '../kit/binary.js'
import { dataOf, serveStream } from '../kit/own-stream.js'
import { serve } from '../kit/server.js'
import { waiting } from '../kit/waiting.js'

t.test('a route decides which topics a client gets, and authorizeTopics is not called', async (t) => {
  const s = await serve(t, {
    sse: { authorizeTopics: () => false },
    setup: (app) => {
      app.register(async (scope) => {
        scope.addHook('onRequest', async (request, reply) => {
          if (request.headers['x-user'] === undefined) return reply.code(401).send()
        })
        scope.get('/rooms/:id/events', (request, reply) =>
          app.sse.stream(request, reply, { topics: [`room.${(request.params as { id: string }).id}`] })
        )
      })
    }
  })
  t.equal((await s.connect({ path: '/rooms/7/events' })).status, 401)
  const client = await s.connect({ path: '/rooms/7/events', headers: { 'x-user': 'ann' } })
  s.app.sse.broadcast('other', { topic: 'room.8' })
  s.app.sse.broadcast('ours', { topic: 'room.7' })
  s.app.sse.broadcast('for everyone')
  t.strictSame(dataOf(await client.take(2)), ['ours', 'for everyone'])
})

t.test('app.sse.stream answers any method, in async handlers and others', async (t) => {
  const s = await serve(t, {
    setup: (app) => {
      app.post('/plain', (request, reply) => app.sse.stream(request, reply))
      app.post('/async', async (request, reply) => app.sse.stream(request, reply))
      app.post('/later', async (request, reply) => {
        await sleep(1)
        await app.sse.stream(request, reply)
      })
      app.get('/get', (request, reply) => {
        void app.sse.stream(request, reply)
      })
    }
  })
  const headers = { 'content-type': 'application/json' }
  for (const path of ['/plain', '/async', '/later']) {
    const response = await fetch(`${s.url}${path}`, { method: 'POST', body: '{"q":1}', headers })
    t.equal(response.headers.get('content-type'), 'text/event-stream', path)
    await response.body!.cancel()
  }
  const client = await s.connect({ path: '/get' })
  s.app.sse.broadcast(1)
  t.equal((await client.next()).data, '1')
})

t.test('a stream has an onConnect and a state of its own', async (t) => {
  const states: unknown[] = []
  const s = await serveStream(
    t,
    {
      state: { user: 'ann' },
      onConnect: (client: SseClient, { url }: FastifyRequest) => {
        states.push([client.state, url])
        client.send('hello')
      }
    },
    { onConnect: () => void states.push('of the plugin') }
  )
  const client = await s.open()
  t.equal((await client.next()).data, '"hello"')
  await s.connect()
  t.strictSame(states, [[{ user: 'ann' }, '/stream'], 'of the plugin'])
})

t.test('invalid options are refused by name', async (t) => {
  const wrong: [options: unknown, message: RegExp][] = [
    [7, /'options' got 7; it takes an object/],
    [{ topic: 'a' }, /'topic' does not exist; did you mean 'topics'/],
    [{ topics: 'a' }, /'topics' got 'a'; it takes an array/],
    [{ everyone: 1 }, /'everyone'/],
    [{ from: '' }, /'from'/],
    [{ until: 7 }, /'until'/],
    [{ state: null }, /'state' got null/],
    [{ onConnect: 'x' }, /'onConnect'/],
    [{ topics: ['a\nb'] }, /cannot subscribe/]
  ]
  for (const [options, message] of wrong) {
    const s = await serveStream(t, options as StreamOptions)
    const response = await fetch(`${s.url}/stream`)
    t.match(((await response.json()) as { message: string }).message, message)
  }
})

t.test(
  "a stream of a route has the limits, negotiation, HEAD, pages and inject of the plugin's own route",
  async (t) => {
    const s = await serveStream(
      t,
      { topics: ['a'], everyone: false },
      { maxClientsPerIp: 1, overLimit: 'status', compress: true }
    )
    for (let i = 0; i < 2; i++) s.app.sse.broadcast('x'.repeat(600), { topic: 'a' })
    s.app.sse.broadcast('not this')
    const page = await fetch(`${s.url}/stream`, { headers: { accept: 'application/json' } })
    t.equal(((await page.json()) as { events: unknown[] }).events.length, 2)
    const head = await fetch(`${s.url}/stream`, { method: 'HEAD' })
    t.equal(head.headers.get('content-type'), 'text/event-stream')
    t.equal((await fetch(`${s.url}/stream`, { headers: { accept: 'text/html' } })).status, 406)
    t.equal((await s.app.inject('/stream')).json().code, 'PYLON_SSE_ERR_INJECT')
    const client = await s.open({ headers: { 'accept-encoding': 'gzip' } })
    t.equal(client.headers.get('content-encoding'), 'gzip')
    t.equal((await s.open()).status, 429)
    s.app.sse.broadcast(1, { topic: 'a' })
    t.equal((await client.next()).data, '1')
    await client.close()
  }
)

t.test('a page waits for an event of its topics, and for no other', async (t) => {
  const s = await serveStream(t, { topics: ['a'], everyone: false })
  const since = await s.app.sse.publish(0)
  const isWaiting = waiting(t, 1)
  const page = fetch(`${s.url}/stream?since=${since}&wait=10000`, { headers: { accept: 'application/json' } })
  await isWaiting
  for (let n = 0; n < 40; n++) {
    s.app.sse.broadcast('not this')
    await new Promise(setImmediate)
  }
  s.app.sse.broadcast('this', { topic: 'a' })
  t.match(await (await page).json(), { events: [{ data: 'this', topic: 'a' }] })
})

for (const transport of ['http2', 'h2c'] as const) {
  t.test(`a stream of a route works over ${transport}`, async (t) => {
    if (transport === 'http2' && !requireBinary(t, 'openssl')) return
    const s = await serveStream(t, { until: 'end' }, {}, { transport })
    const client = await s.connectH2({ path: '/stream' })
    s.app.sse.broadcast(1)
    s.app.sse.broadcast(2, { event: 'end' })
    t.strictSame(dataOf(await client.take(2)), [1, 2])
    await client.waitForEnd()
  })
}

t.test('with path: false there is no route but those of the app', async (t) => {
  const s = await serveStream(t, {}, { path: false })
  t.equal((await s.connect()).status, 404)
  const client = await s.open()
  s.app.sse.broadcast(1)
  t.equal((await client.next()).data, '1')
  await t.rejects(serve(t, { sse: { path: false, publish: {} } }), { message: /publish/ })
})

t.test('a handler may return app.sse.stream whatever its reply type is', async (t) => {
  const s = await serve(t, {
    setup: (app) => {
      interface Route {
        Params: { id: string }
        Reply: { 200: { ok: boolean } }
      }
      app.get<Route>('/typed/:id', (request, reply) =>
        app.sse.stream(request, reply, { topics: [`room.${request.params.id}`] })
      )
      app.get<Route>('/async/:id', async (request, reply) => {
        if (request.params.id === '0') return { ok: false }
        return app.sse.stream(request, reply)
      })
      app.get('/plain', async (request, reply) => app.sse.stream(request, reply))
      // @ts-expect-error there is no such option
      app.get('/wrong', (request, reply) => app.sse.stream(request, reply, { topic: 'x' }))
    }
  })
  t.strictSame(await (await fetch(`${s.url}/async/0`)).json(), { ok: false })
  t.equal((await s.connect({ path: '/typed/1' })).status, 200)
})
