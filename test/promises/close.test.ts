import dns from 'node:dns'
import { once } from 'node:events'
import http2 from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import pylonSse, { type DisconnectReason, type PylonSseOptions } from '../../lib/index.js'
import { requireBinary } from '../kit/binary.js'
import { Connections } from '../kit/connections.js'
import { gatherCrowd } from '../kit/crowd.js'
import { gate } from '../kit/deferred.js'
import { LogLines } from '../kit/log-lines.js'
import { withTimeout } from '../kit/patience.js'
import { type Served, type ServeOptions, serve } from '../kit/server.js'
import { KERNEL_HOLDS, stuckClient } from '../kit/slow-reader.js'
import { slowdown } from '../kit/slowdown.js'
import { connect } from '../kit/sse-client.js'

/** Two seconds of a machine that is idle otherwise. On a busy one, the share that others take of it is measured. */
async function closesInTime(t: Test, app: FastifyInstance): Promise<void> {
  const before = slowdown()
  const start = performance.now()
  await app.close()
  const took = performance.now() - start
  const limit = 2000 * Math.max(before, slowdown())
  t.ok(took < limit, `closed after ${took.toFixed()} of ${limit.toFixed()} ms`)
}

interface HeldApp extends Served {
  /** The app closes, all its streams have ended, and the server listens still. */
  streamsEnded: Promise<void>
  closeServer(): void
}

/** Serves an app that holds its closing between the end of its streams and the end of its server. */
async function serveHeld(t: Test, { sse, setup, ...options }: ServeOptions & { sse?: PylonSseOptions } = {}) {
  const end = gate()
  const s = await serve(t, {
    ...options,
    sse: false,
    setup: async (app) => {
      await setup?.(app)
      await app.register(pylonSse, sse ?? {})
      // Of a scope of its own: those of the app come before the plugin's, wherever they were added.
      await app.register(async (scope) => scope.addHook('preClose', () => end.pass()))
    }
  })
  t.teardown(() => end.open())
  return { ...s, streamsEnded: end.reached, closeServer: () => end.open() } satisfies HeldApp
}

t.test(
  'an app with 2,000 open streams, some of them stuck, closes within two seconds, to the good of all',
  async (t) => {
    const [readers, stuck, retry] = [1995, 5, 4000]
    let connections!: Connections
    const { app, ...target } = await serve(t, {
      sse: { retry, maxClientsPerIp: false, maxEventBytes: 2 * KERNEL_HOLDS.tcp },
      setup: (app) => {
        connections = new Connections(app)
      }
    })
    const crowd = await gatherCrowd(t, target, { readers, stuck })
    const bulk = 'x'.repeat(KERNEL_HOLDS.tcp)
    for (const client of app.sse.clients) if (client.ip === '127.0.0.2') client.send(bulk)
    t.equal([...connections.sockets].filter(({ writableLength }) => writableLength > 0).length, stuck)
    t.equal(app.sse.clientCount, readers + stuck)

    app.sse.broadcast('the last')
    await closesInTime(t, app)
    t.match(app.sse.stats(), { connected: 0, disconnects: { shutdown: readers + stuck } })

    const farewells = await crowd.farewells
    t.equal(farewells.filter(({ ended }) => ended).length, readers, 'a proper end')
    t.equal(farewells.filter(({ lastData }) => lastData === '"the last"').length, readers, 'what was broadcast before')
    const retries = farewells.map(({ retries }) => retries[1]!)
    t.ok(
      retries.every((value) => value >= retry && value <= 2 * retry),
      'a reconnection time, from once to twice the usual'
    )
    t.ok(Math.min(...retries) < 1.25 * retry && Math.max(...retries) > 1.75 * retry, 'spread over the whole of it')
    t.ok(new Set(retries).size > readers / 10, 'so that they do not come back at once')
  }
)

t.test('Closing is bounded by the clock: clients that a slow process has not reached in time are cut', async (t) => {
  const s = await serve(t, {
    setup: (app) => {
      app.addHook('onRequest', async (_request, { raw }) => {
        const write = raw.write.bind(raw) as (bytes: Buffer) => boolean
        raw.write = (bytes: Buffer) => {
          if (bytes.toString().startsWith('retry:')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2600)
          return write(bytes)
        }
      })
    }
  })
  const clients = [await s.connect(), await s.connect(), await s.connect()]
  await withTimeout(s.app.close(), 'app.close()')
  await Promise.all(clients.map(({ closed }) => closed))
  t.equal(clients.filter(({ ended }) => ended).length, 1)
  t.equal(s.app.sse.stats().disconnects.shutdown, clients.length)
})

t.test('a compressed client that has much to read when the app closes gets all of it', async (t) => {
  const s = await serve(t, { sse: { compress: true } })
  const client = await s.connect({ headers: { 'accept-encoding': 'gzip' } })
  for (let n = 1; n <= 40; n++) s.app.sse.broadcastMessage(`${n} ${'x'.repeat(8000)}`)
  await closesInTime(t, s.app)
  await client.waitForEnd()
  t.strictSame(
    client.events.filter(({ data }) => data.endsWith('x')).map(({ data }) => Number.parseInt(data, 10)),
    Array.from({ length: 40 }, (_, i) => i + 1)
  )
})

for (const transport of ['h2c', 'http2'] as const) {
  t.test(`connections of HTTP/2 do not keep an app from closing, over ${transport}`, async (t) => {
    if (transport === 'http2' && !requireBinary(t, 'openssl')) return
    const s = await serve(t, { transport })
    const reader = await s.connectH2()
    const [beside, stuckBeside] = [
      await s.connectH2({ over: reader }),
      await s.connectH2({ over: reader, stuckBefore: 'body' })
    ]
    const stuck = await s.connectH2({ stuckBefore: 'body' })
    s.app.sse.broadcastMessage('x'.repeat(KERNEL_HOLDS.http2))
    s.app.sse.broadcast('the last')
    // What a client has not taken yet when the app closes it gets when it resumes.
    await Promise.all([reader.take(2), beside.take(2)])
    await closesInTime(t, s.app)
    for (const client of [reader, beside]) {
      await client.waitForEnd()
      t.equal(client.events.at(-1)?.data, '"the last"')
      t.equal(client.retries.length, 1)
    }
    for (const client of [stuck, stuckBeside]) await client.waitForClose()
  })
}

t.test(
  'a client that would keep its connection of HTTP/2, as browsers do, does not keep the app from closing',
  async (t) => {
    const { app, url } = await serve(t, { transport: 'h2c' })
    const session = http2.connect(url)
    t.teardown(() => session.destroy())
    const stream = session.request({ ':path': '/events' }).resume()
    await once(stream, 'response')
    const [closed] = await Promise.all([withTimeout(once(session, 'close'), 'the end of the connection'), app.close()])
    t.ok(closed)
    t.equal(stream.rstCode, http2.constants.NGHTTP2_NO_ERROR, 'its stream has come to a proper end')
  }
)

const JSON_PAGE = { accept: 'application/json' }

for (const return503OnClosing of [true, false]) {
  const whose = return503OnClosing ? 'Fastify' : 'the plugin'
  t.test(`while the app closes, and ${whose} would answer 503, an EventSource is told when to reconnect`, async (t) => {
    const served = await Promise.all(
      (['http', 'h2c'] as const).map(async (transport) => {
        const s = await serveHeld(t, {
          transport,
          fastify: { return503OnClosing },
          sse: { retry: 1000 },
          setup: (app) => {
            app.get('/plain', async () => 'plain')
          }
        })
        return { s, open: transport === 'http' ? s.connect : s.connectH2 }
      })
    )
    for (const { s, open } of served) {
      const client = await open()
      const kept = s.connect === open ? await s.connect({ path: '/plain' }) : undefined
      const closed = s.app.close()
      await s.streamsEnded
      await client.waitForEnd()
      const origin = { origin: 'https://other.example' }
      const streams = [await open(), await open({ path: '/events?a=1', headers: origin })]
      if (kept !== undefined) streams.push(kept.request({}) as (typeof streams)[0])
      for (const answer of streams) {
        await answer.waitForEnd()
        t.equal(answer.status, 200)
        t.equal(answer.headers.get('content-type'), 'text/event-stream')
        t.equal(answer.headers.get('access-control-allow-origin'), '*')
        t.match(answer.body, /^retry: \d+\n+$/)
        t.ok(answer.retries[0]! >= 1000 && answer.retries[0]! <= 2000)
      }
      const others = [
        await open({ headers: { accept: undefined } }),
        await open({ headers: { accept: '*/*' } }),
        await open({ headers: JSON_PAGE }),
        await open({ method: 'HEAD' })
      ]
      for (const answer of others) {
        await answer.waitForEnd()
        t.equal(answer.status, 503)
      }
      if (!return503OnClosing) {
        t.match(JSON.parse(others[0]!.body), { code: 'PYLON_SSE_ERR_CLOSING' })
        t.match(others[0]!.headers.get('retry-after'), /^[12]$/)
      }
      t.equal((await open({ path: '/nothing' })).status, return503OnClosing ? 503 : 404)
      t.equal(s.app.sse.stats().rejected.closing, streams.length + (return503OnClosing ? 0 : others.length))
      s.closeServer()
      await withTimeout(closed, 'app.close()')
    }
  })
}

t.test('while the app closes, requests that depend on hooks are left to Fastify', async (t) => {
  const origin = { headers: { origin: 'https://other.example' } }
  const cases: [what: string, sse: PylonSseOptions, path: string, request: object, status: number][] = [
    ["overLimit 'status'", { overLimit: 'status' }, '/events', {}, 503],
    ["overLimit 'retry'", { overLimit: 'retry' }, '/events', { headers: { accept: undefined } }, 200],
    ['a policy for other origins', { cors: { origin: ['https://a.example'] } }, '/events', origin, 503],
    ['a policy for other origins, and the own', { cors: { origin: ['https://a.example'] } }, '/events', {}, 200],
    ["the app's own policy", { cors: false }, '/events', origin, 503],
    ['a path with a parameter', { path: '/rooms/:room' }, '/rooms/1', {}, 503],
    ['constraints', { route: { constraints: { version: '1.0.0' } } }, '/events', {}, 503]
  ]
  for (const [what, sse, path, request, status] of cases) {
    const s = await serveHeld(t, { sse })
    const closed = s.app.close()
    await s.streamsEnded
    t.equal((await s.connect({ path, ...request })).status, status, what)
    s.closeServer()
    await withTimeout(closed, 'app.close()')
  }
})

const places: Record<string, { hook?: 'onRequest' | 'onSend'; transport?: 'h2c' }> = {
  'held in an onRequest hook': { hook: 'onRequest' },
  'held in an onSend hook': { hook: 'onSend' },
  'held in an onSend hook over HTTP/2': { hook: 'onSend', transport: 'h2c' },
  'waiting for its turn on the connection': {}
}

const wheres = Object.entries(places).flatMap(([where, place]) =>
  ([undefined, 'status'] as const).map((overLimit) => ({ where, ...place, overLimit }))
)

for (const { where, hook, transport, overLimit } of wheres) {
  const how = overLimit === 'status' ? 'by a status' : 'by a retry'
  t.test(`a request that is ${where} when the app closes is told to come back, ${how}`, async (t) => {
    const held = gate()
    const hold = async ({ headers }: FastifyRequest) => {
      if (headers['x-held']) await held.pass()
    }
    const left: DisconnectReason[] = []
    const s = await serveHeld(t, {
      transport: transport ?? 'http',
      sse: {
        ...(overLimit && { overLimit }),
        compress: true,
        onDisconnect: (_client, reason) => void left.push(reason)
      },
      setup: (app) => {
        if (hook) app.addHook(hook as 'onRequest', hold)
        else app.get('/slow', { preHandler: hold }, async () => 'slow')
      }
    })
    const marked = { headers: { 'x-held': 'yes', 'accept-encoding': 'gzip' } }
    const request = hook ? marked : { ...marked, before: [{ ...marked, path: '/slow' }] }
    const client = await (transport ? s.connectH2 : s.connect)({ ...request, waitForHead: false })
    await held.reached
    const closed = s.app.close()
    await s.streamsEnded
    held.open()
    await client.waitForEnd()
    t.equal(client.status, overLimit === 'status' ? 503 : 200)
    if (overLimit !== 'status') {
      t.equal(client.headers.get('content-type'), 'text/event-stream')
      t.equal(client.headers.get('access-control-allow-origin'), '*')
      t.equal(client.headers.get('content-encoding'), null)
      t.match(client.body, /^retry: \d+\n+$/)
    }
    t.equal(s.app.sse.stats().rejected.closing, 1)
    s.closeServer()
    await closed
    t.strictSame(left, [], 'it was no client')
    t.equal(s.app.sse.stats().accepted, 0)
  })
}

t.test('a client whose onConnect is running when the app closes is ended like any other', async (t) => {
  const held = gate()
  const left: DisconnectReason[] = []
  const s = await serve(t, {
    sse: {
      retry: 1000,
      async onConnect(client) {
        client.send('before')
        await held.pass()
        t.equal(client.send('after'), false)
      },
      onDisconnect: (_client, reason) => void left.push(reason)
    }
  })
  const client = await s.connect()
  await held.reached
  s.app.sse.broadcast('held back until onConnect is through')
  const closed = s.app.close()
  await client.waitForEnd()
  await closed
  held.open()
  t.strictSame(
    client.events.map(({ data }) => data),
    ['"before"']
  )
  t.equal(client.retries.length, 2)
  t.strictSame(left, ['shutdown'])
})

t.test('a broadcast after the app has closed goes nowhere and says so once, publish rejects', async (t) => {
  const log = new LogLines()
  const { app, connect } = await serve(t, { fastify: { logger: { level: 'warn', stream: log } } })
  const client = await connect()
  app.sse.broadcast('before')
  await app.close()
  await client.waitForEnd()
  t.strictSame(log.lines, [])
  app.sse.broadcast('after')
  app.sse.broadcastMessage('after')
  await t.rejects(app.sse.publish('after'), { code: 'PYLON_SSE_ERR_CLOSED' })
  t.match(log.lines, [{ level: 40, msg: /closed/ }])
  t.equal(log.lines.length, 1)
  t.equal(client.events.length, 1)
  t.match(app.sse.stats(), { events: 1, deliveries: 1 })
})

t.test('what preClose hooks of the app broadcast reaches every client, wherever they were added', async (t) => {
  const s = await serve(t, {
    sse: false,
    setup: async (app) => {
      app.addHook('preClose', async () => app.sse.broadcast('added before'))
      await app.register(pylonSse)
      app.addHook('preClose', async () => {
        t.equal(app.sse.ready, false, 'who comes now should go elsewhere')
        app.sse.broadcast('added after')
      })
    }
  })
  const client = await s.connect()
  await s.app.close()
  await client.waitForEnd()
  t.strictSame(
    client.events.map(({ data }) => data),
    ['"added before"', '"added after"']
  )
})

t.test('a client that is behind when the app closes, and reads, also gets what was sent to it alone', async (t) => {
  const s = await serve(t, { transport: 'unix' })
  const reader = await s.connect()
  const behind = await stuckClient(s)
  s.app.sse.broadcastMessage('x'.repeat(KERNEL_HOLDS.unix))
  await reader.next()
  for (const client of s.app.sse.clients) client.send('to one')
  const closed = s.app.close()
  await reader.waitForEnd()
  behind.resume()
  await behind.waitForEnd()
  t.equal(behind.events.at(-1)?.data, '"to one"')
  t.equal(behind.events.length, 2)
  t.equal(behind.retries.length, 1, 'the farewell')
  await withTimeout(closed, 'app.close()')
})

t.test('closing twice is closing once', async (t) => {
  const left: DisconnectReason[] = []
  const { app, connect } = await serve(t, {
    sse: { onDisconnect: (_client, reason) => void left.push(reason) }
  })
  const client = await connect()
  await Promise.all([app.close(), app.close()])
  await app.close()
  await client.waitForEnd()
  t.equal(client.retries.length, 1)
  t.strictSame(left, ['shutdown'])
})

t.test('an app that closes before it is ready, or before it listens, has closed its stream as well', async (t) => {
  const stages: Record<string, (app: FastifyInstance) => unknown> = {
    'before it has loaded': () => {},
    'before it is ready': (app) => app.after(),
    'before it listens': (app) => app.ready()
  }
  for (const [when, stage] of Object.entries(stages)) {
    const app = fastify()
    app.register(pylonSse)
    await stage(app)
    await app.close()
    await t.rejects(app.sse.publish('after'), { code: 'PYLON_SSE_ERR_CLOSED' }, when)
  }
})

t.test('an app that listens on every address of its name ends the streams on all of them', async (t) => {
  const addresses = ['127.0.0.1', '127.0.0.2']
  const { lookup } = dns
  t.intercept(dns, 'lookup', {
    // Not every machine has IPv6, where localhost has its other address.
    value: (name: string, options: dns.LookupOptions, callback: (...result: unknown[]) => void) => {
      if (name !== 'localhost' || !options.all) return Reflect.apply(lookup, dns, [name, options, callback])
      callback(
        null,
        addresses.map((address) => ({ address, family: 4 }))
      )
    }
  })
  const app = fastify()
  await app.register(pylonSse)
  await app.listen({ host: 'localhost', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const clients = await Promise.all(addresses.map((host) => connect({ host, port })))
  t.teardown(() => Promise.all(clients.map((client) => client.abort())))
  // As browsers open spare ones, which send nothing.
  const spares = addresses.map((host) => net.connect(port, host))
  t.teardown(() => spares.forEach((spare) => void spare.destroy()))
  for (const spare of spares) await once(spare, 'connect')
  const gone = spares.map((spare) => once(spare.resume(), 'close'))
  app.sse.broadcast('the last')
  await withTimeout(app.close(), 'app.close()', 4500)
  await withTimeout(Promise.all(gone), 'the spare connections to go', 4500)
  for (const client of clients) {
    await client.waitForEnd()
    t.equal(client.events.at(-1)?.data, '"the last"')
  }
})
