import cookie from '@fastify/cookie'
import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import pylonSse from '../../lib/index.js'
import { injectClient } from '../kit/inject-client.js'
import { getsIn, ONE_SLOT } from '../kit/one-slot.js'
import { type Served, serve } from '../kit/server.js'

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
