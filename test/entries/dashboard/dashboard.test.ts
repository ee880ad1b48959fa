import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import sseDashboard, { type SseDashboardOptions } from '../../../lib/entries/dashboard/dashboard.js'
import type { Snapshot } from '../../../lib/entries/dashboard/snapshot.js'
import pylonSse, { type PylonSseOptions } from '../../../lib/index.js'
import { Heard } from '../../kit/diagnostics.js'
import { type ServeOptions, serve } from '../../kit/server.js'

const OPEN: SseDashboardOptions = { unprotected: true, interval: 100 }

async function watched(
  t: Test,
  options: SseDashboardOptions = OPEN,
  sse: PylonSseOptions = {},
  serving: Omit<ServeOptions, 'sse'> = {}
) {
  return serve(t, {
    ...serving,
    sse: false,
    setup: async (app) => {
      await app.register(pylonSse, sse)
      await app.register(sseDashboard, options)
    }
  })
}

async function snapshots(s: Awaited<ReturnType<typeof watched>>, path = '/sse-dashboard/events') {
  const reader = await s.connect({ path })
  return {
    ...reader,
    close: () => reader.close(),
    async until(isWanted: (snapshot: Snapshot) => boolean): Promise<Snapshot> {
      const { data } = await reader.until(({ event, data }) => event === 'snapshot' && isWanted(JSON.parse(data)))
      return JSON.parse(data)
    }
  }
}

t.test('the dashboard does not start without a hook that protects it, unless unprotected is set', async (t) => {
  const hook = async () => {}
  const fine: SseDashboardOptions[] = [
    { unprotected: true },
    { route: { onRequest: hook } },
    { route: { preParsing: [async (_request, _reply, payload) => payload] } },
    { route: { preValidation: hook } },
    { route: { preHandler: [hook] } }
  ]
  for (const options of fine) {
    const app = fastify()
    await app.register(pylonSse)
    await app.register(sseDashboard, options)
    await app.ready()
    await app.close()
  }
  const refused: [options: object, message: RegExp][] = [
    [{}, /'route' has no hook that decides who may see the page \(onRequest, .*\); set one, or unprotected: true/],
    [{ route: { onRequest: [] } }, /'route' has no hook/],
    [{ route: { onResponse: hook } }, /'route' has no hook/],
    [{ unprotected: 'no' }, /'route' has no hook/],
    [{ ...OPEN, path: 'live' }, /'path' got "live"; it takes a path such as/],
    [{ ...OPEN, path: '/' }, /'path' got "\/"/],
    [{ ...OPEN, path: 7 }, /'path' got 7/],
    [{ ...OPEN, interval: 5 }, /'interval' got 5; it takes 100 to 60000 ms/],
    [{ ...OPEN, pauseTime: '1s' }, /'pauseTime' got 1s; it takes 100 to 600000 ms/],
    [{ ...OPEN, decorator: 'live' }, /'decorator' is 'live', where the app has no hub/]
  ]
  for (const [options, message] of refused) {
    const app = fastify()
    await app.register(pylonSse)
    const registering = async () => app.register(sseDashboard, options as SseDashboardOptions)
    await t.rejects(registering, { code: 'PYLON_SSE_ERR_INVALID_OPTION', message })
    await app.close()
  }
})

t.test('the hooks guard every route: page, files, stream, search and actions', async (t) => {
  const asked: string[] = []
  const s = await watched(t, {
    route: {
      onRequest: async (request, reply) => {
        asked.push(`${request.method} ${request.url}`)
        if (request.headers.authorization !== 'yes') return reply.code(401).send({})
      }
    }
  })
  const all: ['GET' | 'POST', string][] = [
    ['GET', '/sse-dashboard'],
    ['GET', '/sse-dashboard/page.css'],
    ['GET', '/sse-dashboard/page.js'],
    ['GET', '/sse-dashboard/events'],
    ['GET', '/sse-dashboard/clients'],
    ['POST', '/sse-dashboard/clients/x/close'],
    ['POST', '/sse-dashboard/clients/x/pause'],
    ['POST', '/sse-dashboard/clients/x/resume']
  ]
  for (const [method, url] of all) {
    t.equal((await s.app.inject({ method, url })).statusCode, 401, url)
    if (url.endsWith('/events')) continue
    const { statusCode } = await s.app.inject({ method, url, headers: { authorization: 'yes' } })
    t.equal(statusCode, method === 'POST' ? 404 : 200, `${url} with it; there is no client x`)
  }
  t.strictSame(
    [...new Set(asked)],
    all.map((each) => each.join(' '))
  )
})

t.test('the page has a content security policy, and loads nothing from elsewhere', async (t) => {
  const s = await watched(t)
  for (const url of ['/sse-dashboard', '/sse-dashboard/page.css', '/sse-dashboard/page.js', '/sse-dashboard/clients']) {
    const { headers, body } = await s.app.inject(url)
    t.match(headers['content-security-policy'], /^default-src 'none'; script-src 'self';.*frame-ancestors 'none'$/)
    t.match(headers, { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    t.notMatch(body.replaceAll('http://www.w3.org/2000/svg', ''), /https?:\/\/|unsafe-inline/, url)
  }
  const { body, headers } = await s.app.inject('/sse-dashboard?x=1')
  t.equal(headers['content-type'], 'text/html; charset=utf-8')
  t.match(body, /src="sse-dashboard\/page\.js"/, 'by relative URLs, for proxies that take a prefix away')
  t.notMatch(body, /<script(?![^>]*src=)|<style| style=| on\w+=/, 'and nothing is inline')
})

t.test('it is under a prefix, also where the page is asked for with a slash at its end', async (t) => {
  const s = await serve(t, {
    fastify: { routerOptions: { ignoreTrailingSlash: true } },
    sse: false,
    setup: async (app) => {
      await app.register(pylonSse, { decorator: 'live' })
      await app.register(sseDashboard, { ...OPEN, decorator: 'live', hub: '<b>', prefix: '/admin', path: '/live' })
    }
  })
  t.match((await s.app.inject('/admin/live')).body, /<title>Live stream: &#60;b&#62;<\/title>/)
  t.match((await s.app.inject('/admin/live')).body, /href="live\/page\.css"/)
  t.match((await s.app.inject('/admin/live/')).body, /href="\.\/page\.css"/)
  const watching = await snapshots(s, '/admin/live/events')
  t.match(await watching.until(() => true), { hub: '<b>', stats: { connected: 0 }, clients: [] })
})

t.test(
  'the snapshots tell of clients, the slowest first, of topics by subscribers, and of the last disconnects',
  async (t) => {
    const gone = new Heard(t, 'pylon-sse:client:disconnect')
    const s = await watched(t, OPEN, { authorizeTopics: () => true })
    const first = await s.connect({ query: { topic: 'a' } })
    await s.connect({ path: '/events?topic=b&topic=h' })
    await s.connect({ path: '/events?topic=b&topic=g&topic=c&topic=f&topic=d&topic=e' })
    await first.close()
    await gone.at(0)
    const [second, third] = s.app.sse.clients
    const watching = await snapshots(s)
    s.app.sse.broadcast(1, { topic: 'b' })
    const snapshot = await watching.until(({ stats }) => stats.deliveries === 2)
    t.match(snapshot, {
      hub: 'sse',
      pid: process.pid,
      isWritable: true,
      stats: { connected: 2, accepted: 3, events: 1, ready: true },
      topics: {
        total: 7,
        top: [
          ['b', 2],
          ['c', 1],
          ['d', 1],
          ['e', 1],
          ['f', 1],
          ['g', 1],
          ['h', 1]
        ]
      },
      disconnects: [{ reason: 'disconnected', ip: '127.0.0.1', duration: Number, at: Number }]
    })
    t.strictSame(
      snapshot.clients.map(({ id, lag, topicCount, topics }) => [id, lag, topicCount, topics.length]).sort(),
      [
        [second!.id, 0, 2, 2],
        [third!.id, 0, 6, 5]
      ].sort()
    )
    t.equal(s.app.sse.clientCount, 2, 'who watches is no client of the hub')
  }
)

t.test('a client is found by id, address and topic', async (t) => {
  const s = await watched(t, OPEN, { authorizeTopics: () => true })
  await s.connect({ query: { topic: 'orders.7' }, localAddress: '127.0.0.9' })
  await s.connect()
  const clients = [...s.app.sse.clients]
  const ids = clients.sort((a, b) => b.topics.length - a.topics.length).map(({ id }) => id)
  const found = async (q: string) => {
    const { clients, total } = (await s.app.inject({ url: '/sse-dashboard/clients', query: { q } })).json()
    t.equal(total, clients.length)
    return clients.map(({ id }: { id: string }) => id)
  }
  t.strictSame(await found('orders'), [ids[0]])
  t.strictSame(await found('127.0.0.9'), [ids[0]])
  t.strictSame(await found(ids[1]!), [ids[1]])
  t.strictSame((await found('')).sort(), [...ids].sort())
  t.strictSame(await found('nobody'), [])
  t.equal((await s.app.inject('/sse-dashboard/clients?q=a&q=b')).json().total, 2)
})

t.test('a client over a unix socket has no address, and can be found', async (t) => {
  const s = await watched(t, OPEN, {}, { transport: 'unix' })
  await s.connect()
  const [client] = s.app.sse.clients
  const { clients } = (await s.app.inject(`/sse-dashboard/clients?q=${client!.id}`)).json()
  t.strictSame(
    clients.map(({ id }: { id: string }) => id),
    [client!.id]
  )
})

t.test('closing ends one client, and pausing lets it fall behind until it is resumed', async (t) => {
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

t.test('a pause ends by itself, and with the app; one that is paused is not kept from ending', async (t) => {
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

t.test('with actions: false there are none', async (t) => {
  const s = await watched(t, { ...OPEN, actions: false })
  await s.connect()
  const [client] = s.app.sse.clients
  for (const action of ['close', 'pause', 'resume']) {
    const url = `/sse-dashboard/clients/${client!.id}/${action}`
    t.equal((await s.app.inject({ method: 'POST', url })).statusCode, 404)
  }
  t.equal((await (await snapshots(s)).until(() => true)).isWritable, false)
})

t.test('two hubs of an app have a page each', async (t) => {
  const gone = new Heard(t, 'pylon-sse:client:disconnect')
  const s = await serve(t, {
    sse: false,
    setup: async (app: FastifyInstance) => {
      await app.register(pylonSse)
      await app.register(pylonSse, { path: '/b', decorator: 'b' })
      await app.register(sseDashboard, OPEN)
      await app.register(sseDashboard, { ...OPEN, decorator: 'b', path: '/b/live' })
    }
  })
  await (await s.connect({ path: '/b' })).close()
  await gone.at(0)
  t.match(await (await snapshots(s, '/b/live/events')).until(() => true), { hub: 'b', disconnects: [{}] })
  t.match(await (await snapshots(s)).until(() => true), { hub: 'sse', disconnects: [] })
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
