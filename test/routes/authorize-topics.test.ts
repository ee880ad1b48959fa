import t from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { bodyOf } from '../kit/answers.js'
import { gate } from '../kit/deferred.js'
import { serveHeld } from '../kit/held-app.js'
import { LogLines } from '../kit/log-lines.js'
import { serve } from '../kit/server.js'
import { asksFor, heard, tellEach } from '../kit/topics.js'

class TeapotError extends Error {
  readonly statusCode = 418
}

for (const [way, authorizeTopics] of [
  [
    'throws',
    () => {
      throw new TeapotError('no tea')
    }
  ],
  ['rejects', () => Promise.reject(new TeapotError('no tea'))]
] as [string, NonNullable<PylonSseOptions['authorizeTopics']>][]) {
  t.test(`if authorizeTopics ${way}, Fastify's error handler responds, and the client gets nothing`, async (t) => {
    const logs = new LogLines()
    const seen: Error[] = []
    const served = await serve(t, {
      sse: { authorizeTopics, maxClientsPerIp: 1 },
      setup: (app) => void app.addHook('onError', async (_request, _reply, error) => void seen.push(error)),
      fastify: { logger: { level: 'error', stream: logs } }
    })
    for (const accept of ['text/event-stream', 'application/json']) {
      const reader = await served.connect({ ...asksFor('a'), headers: { accept } })
      t.equal(reader.status, 418)
      t.match(await bodyOf(reader), { statusCode: 418, message: 'no tea' })
    }
    t.equal(seen.length, 2)
    t.equal((await served.connect()).status, 200, 'no slot is kept')
    t.match(served.app.sse.stats(), { accepted: 1 })
  })
}

t.test('a value that authorizeTopics throws is answered as an error, even if it is not one', async (t) => {
  const thrown: [unknown, status: number][] = [
    ['no', 500],
    [undefined, 500],
    [null, 500],
    [{ statusCode: 401, message: 'who?' }, 401]
  ]
  for (const [what, status] of thrown) {
    const served = await serve(t, { sse: { authorizeTopics: () => Promise.reject(what) } })
    const reader = await served.connect(asksFor('a'))
    t.equal(reader.status, status, String(what))
    await reader.waitForEnd()
  }
})

t.test('nothing is sent before authorizeTopics has answered', async (t) => {
  const held = gate()
  const served = await serve(t, { sse: { authorizeTopics: () => held.pass().then(() => ['a']) } })
  const reader = await served.connect({ ...asksFor('a', 'b'), waitForHead: false })
  await held.reached
  tellEach(served, ['a', 'b'])
  t.equal(served.app.sse.clientCount, 0)
  held.open()
  await reader.head()
  tellEach(served, ['b', 'a'])
  t.strictSame(await heard(served, reader), [['a']])
})

t.test('a client that leaves while authorizeTopics is running is not admitted', async (t) => {
  const held = gate()
  const served = await serve(t, { sse: { maxClientsPerIp: 1, authorizeTopics: () => held.pass().then(() => true) } })
  const reader = await served.connect({ ...asksFor('a'), waitForHead: false })
  await held.reached
  await reader.close()
  // The server has seen the end of that connection once it has answered on a later one.
  await fetch(`${served.url}/nowhere`)
  held.open()
  t.equal((await served.connect()).status, 200)
  t.match(served.app.sse.stats(), { accepted: 1, connected: 1 })
})

t.test('a server that closes while authorizeTopics is running admits no client, and closes', async (t) => {
  const held = gate()
  // Holds its closing, during which a slow machine may take its time for the answer.
  const served = await serveHeld(t, {
    sse: { overLimit: 'status', authorizeTopics: () => held.pass().then(() => true) }
  })
  const other = await served.connect()
  const reader = await served.connect({ ...asksFor('a'), waitForHead: false })
  await held.reached
  const closed = served.app.close()
  await served.streamsEnded
  await other.waitForEnd()
  held.open()
  await reader.head()
  t.equal(reader.status, 503)
  t.match(await bodyOf(reader), { code: 'PYLON_SSE_ERR_CLOSING' })
  served.closeServer()
  await closed
  await Promise.all([other.waitForClose(), reader.waitForClose()])
})

t.test('10,000 topics in one query are refused before authorizeTopics is called', async (t) => {
  let calls = 0
  const topics = Array.from({ length: 10_000 }, (_, i) => `t${i}`)
  const served = await serve(t, {
    sse: { authorizeTopics: () => ++calls > 0 },
    fastify: { http: { maxHeaderSize: 2 ** 20 } } as object
  })
  const greedy = await served.connect(asksFor(...topics))
  t.equal(greedy.status, 400)
  t.match(await bodyOf(greedy), {
    code: 'PYLON_SSE_ERR_INVALID_TOPIC',
    message: /10000 topics; a subscription takes 100 at most/
  })
  t.equal(calls, 0)
  t.equal((await served.connect(asksFor(...topics.slice(0, 100)))).status, 200)
  t.equal((await served.connect(asksFor(...topics.slice(0, 101)))).status, 400)
  t.equal(calls, 1)

  const usual = await serve(t, { sse: { authorizeTopics: () => true } })
  t.equal((await usual.connect(asksFor(...topics))).status, 431, 'most servers do not even read them')
})

t.test('route.onRequest runs before topics are checked, and a request that it refuses is not a client', async (t) => {
  let calls = 0
  const served = await serve(t, {
    sse: {
      authorizeTopics: () => ++calls > 0,
      route: {
        onRequest: async ({ headers }, reply) => {
          if (headers.authorization !== 'Bearer good') return reply.code(401).send({ error: 'who are you?' })
        }
      }
    }
  })
  t.equal((await served.connect(asksFor('a'))).status, 401)
  t.equal(calls, 0)
  t.equal((await served.connect({ ...asksFor('a'), headers: { authorization: 'Bearer good' } })).status, 200)
  t.equal(calls, 1)
})
