import type { FastifyInstance, FastifyRequest } from 'fastify'
import t from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import pylonSse from '../../lib/index.js'
import { answerOf } from '../kit/answers.js'
import { deferred } from '../kit/deferred.js'
import type { EventReader } from '../kit/event-reader.js'
import { injectClient } from '../kit/inject-client.js'
import { LogLines } from '../kit/log-lines.js'
import { getsIn, ONE_SLOT } from '../kit/one-slot.js'
import { type Served, serve } from '../kit/server.js'

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
