import { ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import type { FastifyReply } from 'fastify'
import t from 'tap'
import { LogLines } from '../kit/log-lines.js'
import { serve } from '../kit/server.js'

/** What hooks do to the raw response that leaves no way to begin the stream properly. */
const MISDEEDS: Record<string, (raw: ServerResponse) => void> = {
  'has sent a head on the raw response': (raw) => void raw.writeHead(200),
  'has set a status message that cannot be sent': (raw) => {
    raw.statusMessage = 'line\nbreak'
  }
}

for (const [what, misdeed] of Object.entries(MISDEEDS)) {
  t.test(`a request whose hook ${what} ends, takes no slot, and harms nobody`, async (t) => {
    const onRequest = async ({ headers }: { headers: object }, reply: FastifyReply) => {
      if ('x-misdeed' in headers) misdeed(reply.raw)
    }
    const s = await serve(t, { sse: { maxClientsPerIp: 2 }, setup: (app) => app.addHook('onRequest', onRequest) })
    const healthy = await s.connect()
    for (const before of [[], [{ path: '/events', method: 'HEAD' }]]) {
      const bad = await s.connect({ headers: { 'x-misdeed': '1' }, before, waitForHead: false })
      await bad.waitForClose()
    }
    t.equal((await s.connect()).status, 200, 'the other slot is free')
    s.app.sse.broadcast('still here')
    t.equal((await healthy.next()).data, '"still here"')
  })
}

/** What ends a head over any transport, and how its request is answered. */
for (const transport of ['http', 'h2c'] as const) {
  t.test(`a head that cannot be written, over ${transport}, is answered with 500, logged, and counted`, async (t) => {
    const log = new LogLines()
    const s = await serve(t, {
      transport,
      fastify: { logger: { level: 'error', stream: log } },
      sse: { maxClientsPerIp: 1 },
      setup: (app) => {
        app.addHook('onRequest', async ({ headers }, reply) => {
          if (!('x-misdeed' in headers)) return
          reply.raw.setHeader('x-from-hook', 'yes')
          reply.raw.writeHead = () => {
            throw new Error('no head')
          }
        })
      }
    })
    const open = transport === 'http' ? s.connect : s.connectH2
    for (let i = 1; i <= 2; i++) {
      const bad = await open({ headers: { 'x-misdeed': '1' } })
      t.equal(bad.status, 500)
      t.match(bad.headers.get('content-type'), 'application/json')
      await bad.waitForEnd()
      t.match(JSON.parse(bad.body), { statusCode: 500, code: 'PYLON_SSE_ERR_HEAD' })
      t.match(s.app.sse.stats(), { connected: 0, accepted: 0, rejected: { failed: i } })
      await bad.close()
    }
    t.match(await log.waitFor(/cannot be written/), { err: { message: 'no head' } })
    const good = await open()
    t.equal(good.status, 200, 'the slot is free')
  })
}

t.test('a head that cannot be written is answered with 500 through inject, too', async (t) => {
  const s = await serve(t, {
    setup: (app) => {
      app.addHook('onRequest', async (_request, reply) => {
        reply.raw.writeHead = () => {
          throw new Error('no head')
        }
      })
    }
  })
  const response = await s.app.inject({ url: '/events', payloadAsStream: true })
  t.equal(response.statusCode, 500)
  t.match(await json(response.stream()), { code: 'PYLON_SSE_ERR_HEAD' })
})

t.test('a response that can write no headers at all is cut, and counted', async (t) => {
  const headless = Object.create(ServerResponse.prototype, {
    writeHead: {
      value: () => {
        throw new Error('no head')
      }
    }
  })
  const s = await serve(t, {
    setup: (app) => {
      app.addHook('onRequest', async (_request, reply) => void Object.setPrototypeOf(reply.raw, headless))
    }
  })
  const cut = await s.connect({ waitForHead: false })
  await cut.waitForClose()
  t.equal(cut.body, '')
  t.match(s.app.sse.stats(), { connected: 0, accepted: 0, rejected: { failed: 1 } })
})

t.test('a head that a patched writeHead has sent all the same ends in a cut, and is counted', async (t) => {
  const s = await serve(t, {
    setup: (app) => {
      app.addHook('onRequest', async (_request, { raw }) => {
        const { writeHead } = raw
        raw.writeHead = ((...args: Parameters<typeof writeHead>) => {
          writeHead.apply(raw, args)
          throw new Error('after the head')
        }) as typeof writeHead
      })
    }
  })
  const reader = await s.connect({ waitForHead: false })
  await reader.waitForClose()
  t.notOk(reader.ended)
  t.match(s.app.sse.stats(), { connected: 0, rejected: { failed: 1 } })
})

for (const name of ['keep-alive', 'upgrade', 'transfer-encoding', 'proxy-connection', 'http2-settings']) {
  t.test(`over HTTP/2 the header '${name}' of a hook is answered with 500, logged, and counted`, async (t) => {
    const log = new LogLines()
    const s = await serve(t, {
      transport: 'h2c',
      fastify: { logger: { level: 'error', stream: log } },
      setup: (app) => {
        app.addHook('onSend', async ({ headers }, reply) => {
          if ('x-misdeed' in headers) reply.header(name, 'chunked')
        })
      }
    })
    const bad = await s.connectH2({ headers: { 'x-misdeed': '1' } })
    t.equal(bad.status, 500)
    await bad.waitForEnd()
    t.match(JSON.parse(bad.body), { code: 'PYLON_SSE_ERR_HEAD' })
    t.match(await log.waitFor(/cannot be written/), { err: { message: new RegExp(name) } })
    t.match(s.app.sse.stats(), { accepted: 0, rejected: { failed: 1 } })
    t.equal((await s.connectH2()).status, 200)
  })
}

t.test('a header of a hook that no head can hold is answered with 500, and counted', async (t) => {
  const s = await serve(t, {
    setup: (app) => {
      app.addHook('onSend', async ({ headers }, reply) => {
        if ('x-misdeed' in headers && reply.statusCode === 200) reply.header('x-hook', 'line\nbreak')
      })
    }
  })
  const bad = await s.connect({ headers: { 'x-misdeed': '1' } })
  t.equal(bad.status, 500)
  t.match(s.app.sse.stats(), { accepted: 0, rejected: { failed: 1 } })
  t.equal((await s.connect()).status, 200)
})

t.test('an error of one response does not reach others', async (t) => {
  let raw!: ServerResponse
  const s = await serve(t, {
    sse: {
      route: {
        onRequest: async (_request: unknown, reply: FastifyReply) => {
          raw = reply.raw
        }
      }
    }
  })
  const client = await s.connect()
  raw.emit('error', new Error('of one response'))
  s.app.sse.broadcast('after')
  t.equal((await client.next()).data, '"after"')
})

t.test('log level and serializers given to register are those of the requests for the stream', async (t) => {
  const log = new LogLines()
  const s = await serve(t, { sse: false, fastify: { logger: { level: 'info', stream: log } }, setup: register })
  async function register(app: Parameters<NonNullable<Parameters<typeof serve>[1]>['setup'] & object>[0]) {
    const { pylonSse } = await import('../../lib/index.js')
    await app.register(pylonSse, { path: '/quiet', decorator: 'quiet', logLevel: 'warn' })
    await app.register(pylonSse, { path: '/told', decorator: 'told', logSerializers: { req: () => 'as told' } })
  }
  await s.connect({ path: '/quiet' })
  await s.connect({ path: '/told' })
  const line = await log.waitFor('incoming request')
  t.equal(line.req, 'as told')
  t.equal(log.matching('incoming request').length, 1)
})

t.test('of several ids in the query the first counts; an id of the app in a header is taken as it is', async (t) => {
  const s = await serve(t)
  const id = await s.app.sse.publish(1)
  s.app.sse.broadcast(2, { id: 'own' })
  s.app.sse.broadcast(3)
  const client = await s.connect({ path: `/events?lastEventId=${id}&lastEventId=none` })
  t.strictSame(
    (await client.take(2)).map(({ data }) => data),
    ['2', '3']
  )
  const response = await s.app.inject({ url: '/events', headers: { 'last-event-id': 'own' }, payloadAsStream: true })
  for await (const bytes of response.stream()) {
    if (!String(bytes).includes('data: 3')) continue
    t.match(String(bytes), /data: 3\n/)
    t.notMatch(String(bytes), /data: 2\n/)
    break
  }
})
