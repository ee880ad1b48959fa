import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import fastifyCompress, { type FastifyCompressOptions } from '@fastify/compress'
import fastifySseModule from '@fastify/sse'
import type { FastifyInstance, FastifyPluginAsync, FastifyServerOptions, onSendHookHandler } from 'fastify'
import t, { type Test } from 'tap'
import pylonSse from '../../lib/index.js'
import { requireBinary } from '../kit/binary.js'
import { Connections } from '../kit/connections.js'
import { deferred, gate } from '../kit/deferred.js'
import type { EventReader } from '../kit/event-reader.js'
import { greetingOf } from '../kit/greeting.js'
import { injectClient } from '../kit/inject-client.js'
import { LogLines } from '../kit/log-lines.js'
import { withTimeout } from '../kit/patience.js'
import { type Served, type ServeOptions, serve } from '../kit/server.js'
import type { SseClient } from '../kit/sse-client.js'
import type { StreamRequest } from '../kit/stream-request.js'

interface Transport {
  options: ServeOptions
  open(s: Served, request?: StreamRequest): Promise<EventReader & { close(): Promise<void> }>
}

const overHttp1: Transport['open'] = (s, request) => s.connect(request)
const overHttp2: Transport['open'] = (s, request) => s.connectH2(request)

const TRANSPORTS: Record<string, Transport> = {
  'HTTP/1.1': { options: {}, open: overHttp1 },
  HTTPS: { options: { transport: 'https' }, open: overHttp1 },
  'HTTP/2 with TLS': { options: { transport: 'http2' }, open: overHttp2 },
  'HTTP/2 in clear text': { options: { transport: 'h2c' }, open: overHttp2 },
  'HTTP/1.1 from a server of HTTP/2': { options: { transport: 'http2' }, open: overHttp1 },
  'HTTP/1.0': { options: {}, open: (s, request) => s.connect({ ...request, httpVersion: '1.0' }) },
  'a unix socket': { options: { transport: 'unix' }, open: overHttp1 },
  inject: { options: {}, open: (s, request) => injectClient(s.app, request) },
  'a response whose write is wrapped': { options: { setup: (app) => wrapWrites(app, (text) => text) }, open: overHttp1 }
}

/** As middleware does that counts, signs or compresses. */
function wrapWrites(app: FastifyInstance, change: (text: string) => string): void {
  app.addHook('onRequest', async (_request, { raw }) => {
    const write = raw.write.bind(raw) as (bytes: Buffer) => boolean
    raw.write = (bytes: Buffer | string) => write(Buffer.from(change(bytes.toString())))
  })
}

function canServe(t: Test, { transport }: ServeOptions): boolean {
  const isTls = transport === 'https' || transport === 'http2'
  return !isTls || requireBinary(t, 'openssl') !== undefined
}

for (const [transport, { options, open }] of Object.entries(TRANSPORTS)) {
  t.test(`over ${transport} a client gets events, resumes from the last, and comes to a clean end`, async (t) => {
    if (!canServe(t, options)) return
    const s = await serve(t, { ...options, sse: { retry: 10, maxClientsPerIp: 2 } })
    const { sse } = s.app
    const first = await open(s)
    t.equal(first.status, 200)
    await first.waitForComment('connected')
    sse.broadcast({ n: 1 }, { event: 'order', id: 'order 1' })
    t.strictSame(await first.next(), { id: 'order 1', event: 'order', data: '{"n":1}' })
    await first.close()

    sse.broadcastMessage('while it\nwas away')
    sse.broadcast('€ 2')
    const second = await open(s, { lastEventId: first.lastEventId })
    sse.broadcast('live')
    const texts = (await second.take(3)).map(({ data }) => data)
    t.strictSame(texts, ['while it\nwas away', '"€ 2"', '"live"'])
    const closed = s.app.close()
    await second.waitForEnd()
    const [epoch] = second.lastEventId.split('-')
    t.equal(
      second.body,
      greetingOf(second, `${epoch}-1`, 10) +
        `: text\nid: ${epoch}-2\ndata: while it\ndata: was away\n\n` +
        `id: ${epoch}-3\ndata: "€ 2"\n\n` +
        `id: ${epoch}-4\ndata: "live"\n\n` +
        `retry: ${second.retries[1]}\n`
    )
    await withTimeout(closed, 'app.close()')
    await second.close()
  })

  t.test(`over ${transport} an event of 1 MiB and a burst of thousands arrive whole and in order`, async (t) => {
    if (!canServe(t, options)) return
    const s = await serve(t, options)
    const client = await open(s)
    const large = 'é12345678\n'.repeat(2 ** 20 / 11)
    s.app.sse.broadcastMessage(large)
    const count = 5000
    for (let i = 0; i < count; i++) s.app.sse.broadcast(i)
    t.ok((await client.next()).data === large, 'the large event, unchanged')
    const events = await client.take(count)
    t.ok(
      events.every(({ data }, i) => data === String(i)),
      'the burst, in order'
    )
    const [epoch] = client.lastEventId.split('-')
    t.ok(
      events.every(({ id }, i) => id === `${epoch}-${i + 2}`),
      'each with its id'
    )
  })
}

t.test('a plugin that wraps the write of a response sees every byte of the stream', async (t) => {
  for (const transport of ['http', 'h2c'] as const) {
    let seen = ''
    const see = (text: string) => {
      seen += text
      return text.replace('an event', 'AN EVENT')
    }
    const s = await serve(t, { transport, sse: { keepAliveInterval: 50 }, setup: (app) => wrapWrites(app, see) })
    const client = await (transport === 'http' ? s.connect() : s.connectH2())
    await client.waitForComment('keepalive')
    s.app.sse.broadcast('an event')
    t.equal((await client.next()).data, '"AN EVENT"', `${transport}: and may change it`)
    const closed = s.app.close()
    await client.waitForEnd()
    t.equal(client.body, seen.replace('an event', 'AN EVENT'), transport)
    await withTimeout(closed, 'app.close()')
  }
})

t.test('a client that leaves is noticed, even if it has sent more than is read', async (t) => {
  const gone = deferred()
  const s = await serve(t, { sse: { keepAliveInterval: 0, onDisconnect: () => gone.resolve() } })
  const socket = net.connect(s.port!, '127.0.0.1')
  const body = 'x'.repeat(300_000)
  socket.write(`GET /events HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  await withTimeout(once(socket, 'data'), 'the head')
  t.equal(s.app.sse.clientCount, 1)
  socket.destroy()
  await withTimeout(gone.promise, 'onDisconnect')
  t.equal(s.app.sse.clientCount, 0)
})

/** An app whose `/slow` answers when the gate opens. */
async function serveSlowly(t: Test, onConnect = () => {}) {
  const slow = gate()
  const behind = deferred()
  const admitted = deferred()
  const closing = deferred()
  const s = await serve(t, {
    sse: false,
    setup: async (app) => {
      app.get('/slow', async () => {
        await slow.pass()
        return 'slow'
      })
      app.get('/behind', async () => {
        behind.resolve()
        return 'behind'
      })
      // The last of what happens to a request before it becomes a client.
      const onSend: onSendHookHandler = (_request, _reply, payload, done) => {
        admitted.resolve()
        done(null, payload)
      }
      await app.register(pylonSse, { maxClientsPerIp: 1, onConnect, route: { onSend } })
      // A turn later the server listens no more.
      app.addHook('preClose', async () => void setImmediate(closing.resolve))
    }
  })
  return {
    s,
    slow,
    /** A stream has come that has not its turn yet. */
    admitted: () => withTimeout(admitted.promise, 'the stream behind /slow'),
    /** `/behind` has been asked for. */
    behind: () => withTimeout(behind.promise, '/behind'),
    /** The app closes, and waits for `/slow` alone. */
    closing: () => withTimeout(closing.promise, 'the app to close')
  }
}

const BEHIND_SLOW = { before: [{ path: '/slow' }], waitForHead: false }

t.test('requests pipelined on one connection are answered in order, each by its own bytes', async (t) => {
  const { s, slow, admitted, behind } = await serveSlowly(t)
  const client = await s.connect({ ...BEHIND_SLOW, keepRaw: true })
  const [before] = client.pipelined
  const after = client.request({ path: '/behind' })
  await admitted()
  await behind()
  s.app.sse.broadcast('while it waited')
  t.equal(s.app.sse.clientCount, 0, 'who waits for his turn is not connected')
  t.equal(client.raw.length, 0)
  slow.open()
  await before!.waitForEnd()
  t.equal(before!.body, 'slow')
  t.equal((await client.next()).data, '"while it waited"')
  t.equal(s.app.sse.clientCount, 1)
  s.app.sse.broadcast('live')
  t.equal((await client.next()).data, '"live"')
  t.throws(() => after.status, 'the answer behind waits for the end of the stream')
  for (const each of s.app.sse.clients) each.close()
  await client.waitForEnd()
  await after.waitForEnd()
  t.equal(after.body, 'behind')
  const next = client.request({ path: '/behind' })
  await next.waitForEnd()
  t.equal(next.body, 'behind', 'the connection goes on to be used')
})

t.test('a pipelined stream starts when the one before has ended', async (t) => {
  const s = await serve(t)
  const client = await s.connect()
  const behind = client.request({})
  const plain = client.request({ method: 'HEAD' })
  s.app.sse.broadcast(1)
  await client.next()
  for (const each of s.app.sse.clients) each.close()
  await client.waitForEnd()
  await behind.head()
  s.app.sse.broadcast(2)
  t.match(await behind.until(({ data }) => data === '2'), { data: '2' })
  t.equal(client.events.length, 1)
  for (const each of s.app.sse.clients) each.close()
  await behind.waitForEnd()
  await plain.waitForEnd()
  t.equal(plain.status, 200)
})

t.test('a connection cut while its stream waits for its turn leaves nothing behind', async (t) => {
  for (const cut of ['close', 'abort'] as const) {
    let connected = 0
    const { s, slow, admitted } = await serveSlowly(t, () => void connected++)
    const connections = new Connections(s.app)
    const client = await s.connect(BEHIND_SLOW)
    await admitted()
    await client[cut]()
    await connections.waitForNumber(0)
    const next = await s.connect()
    t.equal(next.status, 200, `${cut}: its slot is free`)
    slow.open()
    s.app.sse.broadcast('an event')
    await next.next()
    t.strictSame([s.app.sse.clientCount, s.app.sse.stats().accepted, connected], [1, 1, 1], `${cut}: it was no client`)
  }
})

t.test('a pipelined stream that has not started when the app closes is told when to reconnect', async (t) => {
  const { s, slow, admitted, closing } = await serveSlowly(t)
  const client = await s.connect(BEHIND_SLOW)
  await admitted()
  const closed = s.app.close()
  await closing()
  slow.open()
  await client.pipelined[0]!.waitForEnd()
  t.equal(client.pipelined[0]!.body, 'slow')
  await client.waitForEnd()
  t.match(client.body, /^retry: \d+\n+$/)
  await client.waitForClose()
  await withTimeout(closed, 'app.close()')
  t.equal(s.app.sse.stats().accepted, 0)
})

t.test(
  'a stream that waits for its turn when the app closes, and can be told nothing, is cut and logged',
  async (t) => {
    const log = new LogLines()
    const slow = gate()
    const admitted = deferred()
    const closing = deferred()
    const s = await serve(t, {
      sse: false,
      fastify: { logger: { level: 'error', stream: log } },
      setup: async (app) => {
        app.get('/slow', async () => {
          await slow.pass()
          return 'slow'
        })
        app.addHook('onRequest', async ({ url }, { raw }) => {
          if (url !== '/events') return
          raw.writeHead = () => {
            throw new Error('no head')
          }
        })
        const onSend: onSendHookHandler = (_request, _reply, payload, done) => {
          admitted.resolve()
          done(null, payload)
        }
        await app.register(pylonSse, { route: { onSend } })
        app.addHook('preClose', async () => void setImmediate(closing.resolve))
      }
    })
    const client = await s.connect(BEHIND_SLOW)
    await admitted.promise
    const closed = s.app.close()
    await closing.promise
    slow.open()
    await client.waitForClose()
    await withTimeout(closed, 'app.close()')
    t.match(await log.waitFor(/cannot be written/), { err: { message: 'no head' } })
    t.equal(client.body, '')
  }
)

/** Long enough not to strike while a busy machine connects, ms. */
const TIMEOUT = 400

t.test("Fastify's timeouts do not cut a quiet stream, and apply to its connection again afterwards", async (t) => {
  interface Case {
    fastify: FastifyServerOptions
    /** Resolves when the timeout has struck, on a connection that is younger than the stream. */
    strikes(s: Served): Promise<unknown>
    /** Has it strike where the stream was. */
    strikesAfterwards?(client: SseClient): Promise<unknown>
  }
  const cases: Record<string, Case> = {
    connectionTimeout: {
      fastify: { connectionTimeout: TIMEOUT },
      strikes: async (s) => (await s.connect({ path: '/silent', waitForHead: false })).waitForClose(),
      strikesAfterwards: (client) => {
        client.request({ path: '/silent' })
        return client.waitForClose()
      }
    },
    keepAliveTimeout: {
      // Node adds a second of its own.
      fastify: { keepAliveTimeout: 50 },
      strikes: async (s) => (await s.connect({ path: '/plain' })).waitForClose(),
      strikesAfterwards: (client) => client.waitForClose()
    },
    requestTimeout: {
      fastify: { requestTimeout: TIMEOUT, http: { connectionsCheckingInterval: 10 } } as FastifyServerOptions,
      strikes: ({ port }) => {
        const socket = net.connect(port!, '127.0.0.1').resume()
        socket.write('GET /plain HTTP/1.1\r\nhost: ')
        return closeOf(socket)
      }
    },
    handlerTimeout: {
      fastify: { handlerTimeout: TIMEOUT },
      strikes: async (s) => {
        const { status } = await s.connect({ path: '/silent' })
        t.equal(status, 503)
      },
      strikesAfterwards: async (client) => {
        const { status } = await client.request({ path: '/silent' }).head()
        t.equal(status, 503)
      }
    }
  }
  const run = async ([name, { fastify, strikes, strikesAfterwards }]: [string, Case]) => {
    const s = await serve(t, { fastify, sse: { keepAliveInterval: 0 }, setup: addPlainAndSilent })
    // On a connection that was used before: some timeouts begin with the answer before.
    const client = await s.connect({ before: [{ path: '/plain' }] })
    await strikes(s)
    s.app.sse.broadcast(name)
    t.equal((await client.next()).data, JSON.stringify(name))
    for (const each of s.app.sse.clients) each.close()
    await client.waitForEnd()
    await strikesAfterwards?.(client)
  }
  await Promise.all(Object.entries(cases).map(run))
})

t.test('a request after a stream is subject to the timeout of the connection', async (t) => {
  const asked = deferred()
  const setup = (app: FastifyInstance) =>
    app.get('/silent', () => {
      asked.resolve()
      return new Promise(() => {})
    })
  const s = await serve(t, { fastify: { connectionTimeout: TIMEOUT }, setup })
  const client = await s.connect()
  client.request({ path: '/silent' })
  await withTimeout(asked.promise, 'the request behind the stream')
  for (const each of s.app.sse.clients) each.close()
  await client.waitForEnd()
  await client.waitForClose()
})

t.test("Fastify's timeouts do not close the session of a quiet HTTP/2 stream before it has ended", async (t) => {
  const run = async (fastify: object) => {
    const s = await serve(t, { fastify, transport: 'h2c', sse: { keepAliveInterval: 0 } })
    const client = await s.connectH2()
    const sibling = await s.connectH2({ over: client })
    await sibling.close()
    await closeOf(http2.connect(s.url))
    s.app.sse.broadcast(1)
    t.equal((await client.next()).data, '1', 'the other stream of the session has ended meanwhile')
    const late = await s.connectH2({ over: client })
    t.equal(late.status, 200, 'and it takes another')

    const session = http2.connect(s.url)
    const stream = session.request({ ':path': '/events' }).resume()
    await withTimeout(once(stream, 'response'), 'the head')
    for (const each of s.app.sse.clients) each.close()
    await closeOf(session)
  }
  const timeouts = { http2SessionTimeout: TIMEOUT }
  await Promise.all([run(timeouts), run({ ...timeouts, connectionTimeout: TIMEOUT })])
})

function addPlainAndSilent(app: FastifyInstance): void {
  app.get('/plain', async () => 'plain')
  app.get('/silent', () => new Promise(() => {}))
}

/** Resolves when the server has closed it, politely or not. */
function closeOf(connection: net.Socket | http2.ClientHttp2Session): Promise<void> {
  const { promise, resolve } = deferred()
  connection.on('error', () => {}).once('close', () => resolve())
  return withTimeout(promise, 'the server to close the connection')
}

t.test('@fastify/compress for all routes leaves the stream as it is', async (t) => {
  const greedy: FastifyCompressOptions = { customTypes: /./, threshold: 0 }
  const headers = { 'accept-encoding': 'br, gzip, deflate' }
  const cases: Record<string, (app: FastifyInstance) => Promise<void>> = {
    'with its defaults': async (app) => {
      await app.register(fastifyCompress)
      await app.register(pylonSse)
    },
    'for every type and size': async (app) => {
      await app.register(fastifyCompress, greedy)
      await app.register(pylonSse)
    },
    'registered after': async (app) => {
      await app.register(pylonSse)
      await app.register(fastifyCompress, greedy)
    },
    "where the route's options ask for it": async (app) => {
      await app.register(fastifyCompress, greedy)
      await app.register(pylonSse, { route: { compress: greedy } as object })
    }
  }
  for (const [what, register] of Object.entries(cases)) {
    for (const transport of ['http', 'h2c'] as const) {
      const setup = async (app: FastifyInstance) => {
        await register(app)
        app.get('/plain', async () => ({ text: 'plain '.repeat(1000) }))
      }
      const s = await serve(t, { sse: false, setup, transport })
      const plain = await s.app.inject({ url: '/plain', headers })
      t.ok(plain.headers['content-encoding'], `${what}: another route is compressed`)
      const client = await (transport === 'http' ? s.connect({ headers }) : s.connectH2({ headers }))
      t.equal(client.headers.get('content-encoding'), null, `${what}, over ${transport}`)
      s.app.sse.broadcast('an event')
      t.equal((await client.next()).data, '"an event"')
      await client.close()
    }
  }
})

t.test('@fastify/sse in the same app has streams of its own', async (t) => {
  // Its types are of a module that exports the plugin as `default`.
  const fastifySse = fastifySseModule as unknown as FastifyPluginAsync
  for (const order of ['before', 'after']) {
    const s = await serve(t, {
      sse: false,
      setup: async (app) => {
        if (order === 'before') await app.register(fastifySse)
        await app.register(pylonSse)
        if (order === 'after') await app.register(fastifySse)
        app.get('/theirs', { sse: true }, async (_request, reply) => {
          reply.sse.keepAlive()
          await reply.sse.send({ data: 'theirs', id: '1' })
        })
      }
    })
    const ours = await s.connect()
    const theirs = await s.connect({ path: '/theirs' })
    t.strictSame(await theirs.next(), { id: '1', event: undefined, data: '"theirs"' }, order)
    s.app.sse.broadcast('ours')
    t.equal((await ours.next()).data, '"ours"', order)
    t.equal(s.app.sse.clientCount, 1)
    t.equal(theirs.events.length, 1)
    await theirs.close()
  }
})
