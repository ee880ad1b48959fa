import t from 'tap'
import pylonSse from '../../lib/index.js'
import { answerOf } from '../kit/answers.js'
import { LogLines } from '../kit/log-lines.js'
import { getsIn, ONE_SLOT } from '../kit/one-slot.js'
import { serve } from '../kit/server.js'

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
