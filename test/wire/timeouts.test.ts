import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import t from 'tap'
import { deferred } from '../kit/deferred.js'
import { withTimeout } from '../kit/patience.js'
import { type Served, serve } from '../kit/server.js'
import type { SseClient } from '../kit/sse-client.js'

/** Long enough not to strike while a busy machine connects, ms. */
const TIMEOUT = 2000

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
  const silent = client.request({ path: '/silent' })
  await withTimeout(asked.promise, 'the request behind the stream')
  for (const each of s.app.sse.clients) each.close()
  await client.waitForEnd()
  t.ok(await client.waitForClose(), 'the server has closed the connection')
  t.throws(() => silent.status, 'without an answer')
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
