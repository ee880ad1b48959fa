import { PassThrough, pipeline, Readable } from 'node:stream'
import cookie from '@fastify/cookie'
import helmet from '@fastify/helmet'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import pylonSse, { type PylonSseOptions } from '../../lib/index.js'
import { deferred } from '../kit/deferred.js'
import type { EventReader } from '../kit/event-reader.js'
import { greetingOf } from '../kit/greeting.js'
import { injectClient } from '../kit/inject-client.js'
import { LogLines } from '../kit/log-lines.js'
import { type Served, serve } from '../kit/server.js'

const ONE_SLOT = { maxClientsPerIp: 1, overLimit: 'status' } as const

/** An app with one slot for each address: whoever gets in proves that nobody else holds it. */
async function getsIn(t: Test, s: Served, what = 'the slot is free', request: Parameters<Served['connect']>[0] = {}) {
  const client = await s.connect(request)
  t.equal(client.status, 200, what)
  return client
}

/** The answer to a request that is no stream. */
async function answerOf(s: Served, request: Parameters<Served['connect']>[0] = {}) {
  const client = await s.connect(request)
  await client.waitForEnd()
  await client.close()
  return client
}

t.test('the response has the headers of the wire format, and no others', async (t) => {
  const expected = {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
    'access-control-allow-origin': '*'
  }
  const { date, ...fields } = fieldsOf(await (await serve(t)).connect())
  t.ok(Date.parse(date!), 'a date')
  t.strictSame(fields, { ...expected, connection: 'keep-alive', 'transfer-encoding': 'chunked' })

  const { date: _, ...overHttp2 } = fieldsOf(await (await serve(t, { transport: 'h2c' })).connectH2())
  t.strictSame(overHttp2, expected, 'HTTP/2 has neither of the connection and its framing')
})

/** Throws on a field that came twice. */
function fieldsOf({ rawHeaders }: EventReader): Record<string, string> {
  const names = rawHeaders.map(([name]) => name.toLowerCase())
  if (new Set(names).size < names.length) throw new Error(`fields came twice: ${names}`)
  return Object.fromEntries(rawHeaders.map(([name, value]) => [name.toLowerCase(), value]))
}

t.test(
  'the body is a greeting with the reconnection time and the cursor, then the events, byte for byte',
  async (t) => {
    for (const retry of [undefined, 3000, 0]) {
      const s = await serve(t, { sse: retry === undefined ? {} : { retry } })
      const client = await s.connect()
      s.app.sse.broadcast({ id: 7 }, { event: 'todo.created' })
      s.app.sse.broadcastMessage('two\nlines')
      s.app.sse.broadcast(null, { id: 'my own' })
      await client.take(3)
      const epoch = /id: (\w+)-0\n/.exec(client.body)?.[1]
      t.equal(
        client.body,
        greetingOf(client, `${epoch}-0`, retry) +
          `id: ${epoch}-1\nevent: todo.created\ndata: {"id":7}\n\n` +
          `: text\nid: ${epoch}-2\ndata: two\ndata: lines\n\n` +
          'id: my own\ndata: null\n\n'
      )
    }
  }
)

t.test('a quiet client gets keepalives', async (t) => {
  const s = await serve(t, { sse: { keepAliveInterval: 50 } })
  const client = await s.connect()
  await client.waitForComment('keepalive', 2)
  t.match(client.body, /\n\n: keepalive\n: keepalive\n/, 'a line, of which no client makes a message')
})

t.test('headers that hooks set on the reply arrive, whenever the hooks were added', async (t) => {
  const addHooks = async (app: FastifyInstance) => {
    await app.register(cookie)
    await app.register(helmet)
    app.addHook('onRequest', async (_request, reply) => {
      reply.setCookie('session', 'a').header('x-from-hook', 'onRequest')
    })
    app.addHook('preHandler', async (_request, reply) => {
      reply.header('set-cookie', 'plain=b')
    })
    app.addHook('onSend', async (_request, reply) => {
      reply.setCookie('late', 'c; d').header('x-late', ['1', '2'])
    })
  }
  const addPlugin = async (app: FastifyInstance) => {
    await app.register(pylonSse)
  }
  const orders = {
    'before the plugin': [addHooks, addPlugin],
    'after the plugin': [addPlugin, addHooks]
  }
  const transports = {
    http: (s: Served) => s.connect(),
    h2c: (s: Served) => s.connectH2(),
    inject: (s: Served) => injectClient(s.app)
  }
  for (const [order, steps] of Object.entries(orders)) {
    for (const [transport, open] of Object.entries(transports)) {
      const setup = async (app: FastifyInstance) => {
        for (const step of steps) await step(app)
      }
      const s = await serve(t, { sse: false, setup, transport: transport === 'h2c' ? 'h2c' : 'http' })
      const client = await open(s)
      const what = `${order}, over ${transport}`
      t.equal(client.status, 200, what)
      const cookies = client.headers.getSetCookie().map((value) => value.split(';')[0])
      t.strictSame(cookies.sort(), ['late=c%3B%20d', 'plain=b', 'session=a'], what)
      t.equal(client.headers.get('x-from-hook'), 'onRequest', what)
      t.equal(client.headers.get('x-late'), '1, 2', what)
      t.match(client.headers.get('content-security-policy'), /default-src 'self'/, what)
      t.equal(client.headers.get('x-content-type-options'), 'nosniff', 'not twice where another sets it as well')
      t.equal(client.headers.get('content-type'), 'text/event-stream', what)
      s.app.sse.broadcast(order)
      t.equal((await client.next()).data, JSON.stringify(order), 'and the stream is one')
      await client.close()
    }
  }
})

t.test('a hook may have the connection closed when the stream ends', async (t) => {
  const s = await serve(t, {
    setup: (app) => app.addHook('onRequest', async (_request, reply) => void reply.header('connection', 'close'))
  })
  const client = await s.connect()
  t.equal(client.headers.get('connection'), 'close')
  for (const each of s.app.sse.clients) each.close()
  await client.waitForEnd()
  await client.waitForClose()
})

t.test('a header that no response can carry is answered with 500, and no slot stays taken', async (t) => {
  const s = await serve(t, {
    sse: ONE_SLOT,
    setup: (app) => {
      app.addHook('onRequest', async (request, reply) => {
        if (request.headers['x-spoil']) reply.header('x-name', 'Łódź')
      })
      app.get('/plain', async () => 'plain')
    }
  })
  const spoiled = { headers: { 'x-spoil': 'yes' } }
  // Behind another its turn comes later, when nobody is there to catch what it throws.
  for (const before of [[], [{ path: '/plain' }]]) {
    const client = await s.connect({ ...spoiled, before })
    t.equal(client.status, 500)
    await client.waitForEnd()
  }
  await getsIn(t, s)
  t.equal(s.app.sse.clientCount, 1)
})

t.test("the app's own hooks and the route's run, in Fastify's order, whenever they were added", async (t) => {
  const phases = ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'onSend', 'onResponse'] as const
  const ran: string[] = []
  const responded = deferred()
  const hookOf = (name: string) => async () => {
    ran.push(name)
    if (name === "onResponse of the route's") responded.resolve()
  }
  const addHooks = (app: FastifyInstance, when: string) => {
    for (const phase of phases) app.addHook(phase as 'onRequest', hookOf(`${phase} added ${when}`))
  }
  const route = Object.fromEntries(phases.map((phase) => [phase, hookOf(`${phase} of the route's`)]))
  const s = await serve(t, {
    sse: false,
    setup: async (app) => {
      addHooks(app, 'before')
      await app.register(pylonSse, { route })
      addHooks(app, 'after')
    }
  })
  const client = await s.connect()
  const expected = phases.flatMap((phase) => [
    `${phase} added before`,
    `${phase} added after`,
    `${phase} of the route's`
  ])
  t.strictSame(ran, expected.slice(0, -3), 'all but onResponse by the time of the head')
  await client.close()
  await responded.promise
  t.strictSame(ran, expected)
})

t.test("the route takes Fastify's own options", async (t) => {
  const log = new LogLines()
  const s = await serve(t, {
    fastify: { logger: { level: 'info', stream: log } },
    setup: async (app) => {
      app.get('/plain', async () => 'plain')
      await app.register(pylonSse, {
        path: '/other',
        decorator: 'other',
        route: {
          config: { url: '', method: 'GET', audience: 'ops' } as object,
          constraints: { host: 'live.example' },
          logLevel: 'error',
          onRequest: (request, reply, done) => {
            reply.header('x-audience', (request.routeOptions.config as { audience?: string }).audience)
            done()
          },
          errorHandler: (error, _request, reply) => reply.code(418).send({ mine: (error as { code?: string }).code })
        }
      })
    }
  })
  const live = { path: '/other', headers: { host: 'live.example' } }
  const client = await s.connect(live)
  t.equal(client.status, 200)
  t.equal(client.headers.get('x-audience'), 'ops', 'config')
  t.equal((await answerOf(s, { ...live, headers: { host: 'x' } })).status, 404, 'constraints')
  const refused = await answerOf(s, { ...live, headers: { ...live.headers, accept: 'text/html' } })
  t.equal(refused.status, 418)
  t.strictSame(JSON.parse(refused.body), { mine: 'PYLON_SSE_ERR_NOT_ACCEPTABLE' }, 'errorHandler')
  await client.close()
  await answerOf(s, { path: '/plain' })
  await log.waitFor(({ msg, reqId }) => msg === 'request completed' && reqId === 'req-4')
  t.strictSame(
    log.matching('incoming request').map(({ req }) => (req as { url: string }).url),
    ['/other', '/plain'],
    'logLevel: of the stream, the request that matched no route alone is logged'
  )
})

t.test('an onRequest hook that answers 401 refuses the request, which takes no slot', async (t) => {
  const refuse = async (request: FastifyRequest) => {
    if (request.headers.authorization === undefined) throw Object.assign(new Error('who?'), { statusCode: 401 })
  }
  const cases: Record<string, { sse: PylonSseOptions; setup?: (app: FastifyInstance) => void }> = {
    "the app's": { sse: ONE_SLOT, setup: (app) => app.addHook('onRequest', refuse) },
    "the route's": { sse: { ...ONE_SLOT, route: { onRequest: refuse } } }
  }
  for (const [whose, { sse, setup }] of Object.entries(cases)) {
    let connected = 0
    const onConnect = () => void connected++
    const s = await serve(t, { sse: { ...sse, onConnect }, ...(setup && { setup }) })
    for (let i = 0; i < 3; i++) {
      const refused = await answerOf(s)
      t.equal(refused.status, 401, whose)
      t.equal(JSON.parse(refused.body).message, 'who?', whose)
    }
    t.equal(s.app.sse.stats().accepted + connected, 0, `${whose}: nobody was a client`)
    const authorized = { headers: { authorization: 'me' } }
    await getsIn(t, s, whose, authorized)
    t.equal((await answerOf(s, authorized)).status, 429, `${whose}: there is one slot`)
  }
})

t.test('onResponse hooks run once when a stream ends, and its request is logged, however it ends', async (t) => {
  const transports = {
    'HTTP/1.1': (s: Served) => s.connect(),
    'HTTP/1.0': (s: Served) => s.connect({ httpVersion: '1.0' }),
    'HTTP/2': (s: Served) => s.connectH2(),
    inject: (s: Served) => injectClient(s.app)
  }
  type Opened = EventReader & { close(): Promise<void>; abort?(): Promise<void> }
  const endings: Record<string, (client: Opened, s: Served) => unknown> = {
    'its client leaves': (client) => client.close(),
    'its client is cut off': (client) => client.abort?.(),
    'client.close()': (_client, s) => {
      for (const client of s.app.sse.clients) client.close()
    },
    'app.close()': (_client, s) => s.app.close()
  }
  for (const [transport, open] of Object.entries(transports)) {
    for (const [ending, end] of Object.entries(endings)) {
      // Nobody is told that an injected request has lost its client.
      if (transport === 'inject' && ending.startsWith('its client')) continue
      await t.test(`${transport}, ${ending}`, async (t) => {
        const log = new LogLines()
        const statuses: number[] = []
        const s = await serve(t, {
          transport: transport === 'HTTP/2' ? 'h2c' : 'http',
          fastify: { logger: { level: 'info', stream: log } },
          setup: (app) => app.addHook('onResponse', async (_request, reply) => void statuses.push(reply.statusCode))
        })
        const client = await open(s)
        s.app.sse.broadcast('an event')
        await client.next()
        t.strictSame(statuses, [], 'not while it lives')
        await end(client, s)
        await log.waitFor('request completed')
        await client.close()
        // Nothing of the stream is left to happen after that.
        await s.app.close()
        t.strictSame(statuses, [200])
        const lines = log.matching('request completed')
        t.equal(lines.length, 1)
        t.match(lines, [{ res: { statusCode: 200 }, responseTime: Number }])
        const complaints = log.lines.filter(({ level }) => level > 30)
        t.strictSame(complaints, [], 'no warning, no error')
      })
    }
  }
})

t.test('HEAD answers the head and no stream, and takes no slot', async (t) => {
  for (const transport of ['http', 'h2c'] as const) {
    const s = await serve(t, { transport, sse: { ...ONE_SLOT, keepAliveInterval: 50 } })
    const open = (method: string) => (transport === 'http' ? s.connect({ method }) : s.connectH2({ method }))
    const early = await open('HEAD')
    await early.waitForEnd()
    await early.close()
    const stream = await open('GET')
    t.equal(stream.status, 200, `${transport}: the HEAD before it holds no slot`)
    const head = await open('HEAD')
    t.equal(head.status, 200, `${transport}: nor does it need one`)
    await head.waitForEnd()
    await stream.waitForComment('keepalive')
    t.equal(head.body, '')
    t.equal(s.app.sse.clientCount, 1)
    const { date, connection, 'keep-alive': timeout, ...fields } = fieldsOf(head)
    const { date: _, connection: __, 'transfer-encoding': ___, ...expected } = fieldsOf(stream)
    t.strictSame(fields, expected, `${transport}: the fields of the stream`)
    await head.close()
    await stream.close()
  }
})

t.test('a request whose Accept rules out both the stream and JSON gets 406, and takes no slot', async (t) => {
  const accepted = [
    undefined,
    '',
    '*/*',
    'text/*',
    'text/event-stream',
    'Text/Event-Stream',
    'text/event-stream;q=0.1',
    'application/json;q=0.001, text/event-stream;q=0.9',
    'text/html, application/xhtml+xml, */*;q=0.8',
    ['application/json;q=0.5', 'text/event-stream'],
    '*/*;q=0, text/event-stream'
  ]
  const refused = [
    'application/xml',
    'text/html, application/ld+json',
    'text/event-stream;q=0',
    'text/event-stream;q=0, application/json;q=0, */*',
    'text/event-stream;q=0.0, text/*',
    'text/*;q=0, application/json;q=0, */*',
    '*/*;q=0',
    'text/html',
    'text/event-streams',
    ['text/html', 'image/png']
  ]
  const s = await serve(t, { sse: ONE_SLOT })
  for (const accept of refused) {
    const answer = await answerOf(s, { headers: { accept } })
    t.equal(answer.status, 406, String(accept))
    t.match(JSON.parse(answer.body), {
      statusCode: 406,
      code: 'PYLON_SSE_ERR_NOT_ACCEPTABLE',
      error: 'Not Acceptable',
      message: /text\/event-stream/
    })
    t.equal((await answerOf(s, { method: 'HEAD', headers: { accept } })).status, 406, `HEAD ${accept}`)
  }
  t.equal(s.app.sse.stats().rejected.notAcceptable, 2 * refused.length)
  for (const accept of accepted) {
    const client = await getsIn(t, s, `${accept}`, { headers: { accept } })
    for (const each of s.app.sse.clients) each.close()
    await client.waitForEnd()
  }
})

t.test('a prefix given to register applies to the path, in a nested scope too', async (t) => {
  const cases: { prefix?: string; scope?: string; path?: string; url: string }[] = [
    { url: '/events' },
    { prefix: '/api', url: '/api/events' },
    { prefix: '/api/', url: '/api/events' },
    { prefix: 'api', url: '/api/events' },
    { prefix: '/', url: '/events' },
    { prefix: '/api', path: '/live/all', url: '/api/live/all' },
    { prefix: '/:tenant', url: '/acme/events' },
    { scope: '/v1', url: '/v1/events' },
    { scope: '/v1', prefix: '/api', url: '/v1/api/events' }
  ]
  for (const { prefix, scope, path, url } of cases) {
    const options = { ...(prefix !== undefined && { prefix }), ...(path !== undefined && { path }) }
    let inner!: FastifyInstance
    const s = await serve(t, {
      sse: false,
      setup: (app) =>
        app.register(
          async (scoped) => {
            await scoped.register(pylonSse, options)
            inner = scoped
          },
          scope === undefined ? {} : { prefix: scope }
        )
    })
    const client = await s.connect({ path: url })
    t.equal(client.status, 200, url)
    inner.sse.broadcast(url)
    t.equal((await client.next()).data, JSON.stringify(url))
    const preflight = await answerOf(s, {
      path: url,
      method: 'OPTIONS',
      headers: { origin: 'https://a.example', 'access-control-request-method': 'GET' }
    })
    t.equal(preflight.status, 204, `${url}: its preflight`)
    if (url !== '/events') t.equal((await answerOf(s)).status, 404, `${url}: and nowhere else`)
  }
})

t.test('registered twice, under different paths and decorators, the plugin is two independent hubs', async (t) => {
  const s = await serve(t, {
    sse: ONE_SLOT,
    setup: (app) => app.register(pylonSse, { ...ONE_SLOT, path: '/orders', decorator: 'orders', retry: 7 })
  })
  const { sse, orders } = s.app as FastifyInstance & { orders: FastifyInstance['sse'] }
  const client = await getsIn(t, s, 'a slot of the one')
  const ordersClient = await getsIn(t, s, 'and a slot of the other', { path: '/orders' })
  sse.broadcast('for the one')
  orders.broadcast('for the other')
  sse.broadcast('last')
  orders.broadcast('last')
  t.strictSame(
    (await client.take(2)).map(({ data }) => data),
    ['"for the one"', '"last"']
  )
  t.strictSame(
    (await ordersClient.take(2)).map(({ data }) => data),
    ['"for the other"', '"last"']
  )
  t.strictSame([client.retries, ordersClient.retries], [[], [7]])
  t.strictSame([sse.clientCount, orders.clientCount], [1, 1])
  for (const { id } of sse.clients) t.notOk([...orders.clients].some((other) => other.id === id))
  for (const each of orders.clients) each.close()
  await ordersClient.waitForEnd()
  const stranger = await s.connect({ path: '/orders', lastEventId: client.lastEventId })
  t.match(await stranger.next(), { event: 'resync', data: '{"reason":"unknown","missed":null}' })
  sse.broadcast('the one goes on')
  t.equal((await client.next()).data, '"the one goes on"')
  await Promise.all([s.app.close(), client.waitForEnd(), stranger.waitForEnd()])
})

/** An app with a hook that does something to the stream of those who ask for it. */
function serveWithOnSend(t: Test, hook: (payload: Readable, reply: FastifyReply) => unknown) {
  const onSend = async (request: FastifyRequest, reply: FastifyReply, payload: unknown) =>
    request.headers['x-hook'] && payload instanceof Readable ? hook(payload, reply) : payload
  return serve(t, { sse: ONE_SLOT, setup: (app) => app.addHook('onSend', onSend) })
}

const HOOKED = { headers: { 'x-hook': 'yes' } }

t.test('an onSend hook that reads or wraps the stream gets a clear 500, and no slot stays taken', async (t) => {
  const hooks: Record<string, (payload: Readable) => unknown> = {
    'reads it to the end': async (payload) => {
      for await (const _ of payload);
      return payload
    },
    'listens to its data': (payload) => payload.on('data', () => {}),
    'reads it by the piece': (payload) => {
      payload.read()
      return payload
    },
    'pipes it': (payload) => payload.pipe(new PassThrough()),
    'pipes it with errors': (payload) => pipeline(payload, new PassThrough(), () => {}),
    'wraps it in a generator': (payload) =>
      Readable.from(
        (async function* () {
          yield* payload
        })()
      ),
    'replaces it by another stream': () => Readable.from(['a text'])
  }
  for (const [what, hook] of Object.entries(hooks)) {
    await t.test(what, async (t) => {
      const s = await serveWithOnSend(t, hook)
      const client = await s.connect(HOOKED)
      if (!t.equal(client.status, 500)) return
      await client.waitForEnd()
      t.match(JSON.parse(client.body), {
        statusCode: 500,
        code: 'PYLON_SSE_ERR_STREAM_CONSUMED',
        message: /onSend hook/
      })
      t.equal(client.headers.get('content-type'), 'application/json; charset=utf-8')
      await getsIn(t, s)
      t.equal(s.app.sse.clientCount, 1)
    })
  }
})

t.test('an onSend hook may answer with a text instead, and no slot stays taken', async (t) => {
  const s = await serveWithOnSend(t, (_payload, reply) => {
    reply.code(503).type('text/plain')
    return 'not now'
  })
  const client = await s.connect(HOOKED)
  await client.waitForEnd()
  t.equal(client.status, 503)
  t.equal(client.body, 'not now')
  await getsIn(t, s)
  t.equal(s.app.sse.stats().accepted, 1)
})

t.test('register fails on options that it cannot serve, and names them', async (t) => {
  const cases: [what: string, options: object, error: { code: string; message?: RegExp } | { message: RegExp }][] = [
    ['no such option', { shard: 3 }, { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: /'shard'/ }],
    ['a bad value', { path: 'events' }, { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: /'path' got 'events'/ }],
    ["the plugin's own", { route: { handler: () => {} } }, { message: /'route\.handler'/ }],
    ['a bad option of cors', { cors: { hook: 'onTuesday' } }, { message: /Invalid hook option/ }],
    ['a taken decorator', { decorator: 'taken' }, { message: /'decorator' is 'taken', which the app has already/ }],
    ['a taken path', { path: '/taken' }, { message: /'path' is '\/taken', where the app has a route already/ }],
    [
      'a bad schema',
      { route: { schema: { querystring: { type: 'nothing' } } } },
      { code: 'FST_ERR_SCH_VALIDATION_BUILD' }
    ]
  ]
  for (const [what, options, error] of cases) {
    const app = fastify()
    app.decorate('taken', true)
    app.get('/taken', async () => 'taken')
    const registered = async () => {
      await app.register(pylonSse, options as PylonSseOptions)
      await app.ready()
    }
    await t.rejects(registered(), error, what)
    await app.close().catch(() => {})
  }
})

t.test('a schema of the route checks and converts the query', async (t) => {
  const queries: unknown[] = []
  const querystring = {
    type: 'object',
    properties: { room: { type: 'integer', minimum: 1 } },
    required: ['room']
  }
  const s = await serve(t, {
    sse: {
      ...ONE_SLOT,
      route: { schema: { querystring } },
      onConnect: (_client, { query }) => void queries.push(query)
    }
  })
  for (const path of ['/events', '/events?room=0', '/events?room=lobby']) {
    const answer = await answerOf(s, { path })
    t.equal(answer.status, 400, path)
    t.match(JSON.parse(answer.body), { code: 'FST_ERR_VALIDATION', message: /room/ })
  }
  await getsIn(t, s, 'a good query', { path: '/events?room=7' })
  t.strictSame(
    queries.map((query) => ({ ...(query as object) })),
    [{ room: 7 }]
  )
})
