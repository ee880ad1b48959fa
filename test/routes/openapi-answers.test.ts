import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import pylonSse, { type PylonSseOptions } from '../../lib/index.js'
import { type Document, events, fits, get } from '../kit/openapi.js'
import { serve } from '../kit/server.js'

interface Asked {
  path?: string
  headers?: Record<string, string>
  body?: unknown
}

const JSON_PAGE = { accept: 'application/json' }
const asked: Record<string, Asked> = {
  'a page': { headers: JSON_PAGE },
  'a page from the beginning': { path: '?since=0&limit=2', headers: JSON_PAGE },
  'a page of a topic': { path: '?topic=a', headers: JSON_PAGE },
  'a page of two topics, and what nobody knows': { path: '?topic=a&topic=b&other=1&limit=1000', headers: JSON_PAGE },
  'a limit past the most': { path: '?limit=1001', headers: JSON_PAGE },
  'a limit that is no number': { path: '?limit=many', headers: JSON_PAGE },
  'two limits': { path: '?limit=1&limit=2', headers: JSON_PAGE },
  'a wait that is none': { path: '?wait=-1', headers: JSON_PAGE },
  'two places to begin at': { path: '?since=1&since=2', headers: JSON_PAGE },
  'a place that nobody knows': { path: '?since=nowhere', headers: JSON_PAGE },
  'a topic that is none': { path: '?topic=a.**.b' },
  'a topic that is forbidden': { path: '?topic=secret' },
  'a form that there is none of': { headers: { accept: 'image/png' } },
  'to stay away': { headers: { 'last-event-id': 'stay-away' } },
  'events to publish': {
    body: [
      { data: { id: 1 }, event: 'todo.created' },
      { data: 'x', topic: 'a' }
    ]
  },
  'the same id twice': {
    body: [
      { data: 1, id: 'i' },
      { data: 2, id: 'i' }
    ]
  },
  'no event': { body: { event: 'x' } },
  'an event that does not fit its schema': { body: { data: {}, event: 'todo.created' } },
  'an event that is too large': { body: { data: 'x'.repeat(2000) } },
  'a key': { body: { data: 1 }, headers: { 'idempotency-key': 'k' } },
  'a key with another body': { body: { data: 2 }, headers: { 'idempotency-key': 'k' } }
}
const EXPECTED: Record<number, number> = {
  200: 4,
  400: 8,
  202: 2,
  410: 1,
  403: 1,
  406: 1,
  204: 1,
  409: 1,
  413: 1,
  422: 1
}

const sse: PylonSseOptions = {
  events,
  publish: {},
  maxEventBytes: 1000,
  authorizeTopics: () => ['a', 'b']
}

/** What an app answers, as text; each of its logs has a name of its own. */
async function answersOf(t: Test, setup: (app: FastifyInstance) => unknown): Promise<Map<string, [number, string]>> {
  const { app, url } = await serve(t, { sse: false, setup })
  app.sse.broadcast({ id: 7, title: 'write', due: null }, { event: 'todo.created' })
  app.sse.broadcast({ free: ['form', { of: 1 }] }, { topic: 'a' })
  app.sse.broadcastMessage('text', { event: 'moved', id: 'own' })
  const epoch = /^(\w+)-/.exec(await app.sse.publish(null))![1]!
  const answers = new Map<string, [number, string]>()
  for (const [what, { path = '', headers = {}, body }] of Object.entries(asked)) {
    const init = body === undefined ? { headers } : { method: 'POST', body: JSON.stringify(body) }
    const type = body === undefined ? {} : { headers: { ...headers, 'content-type': 'application/json' } }
    const answer = await fetch(`${url}/events${path}`, { ...init, ...type })
    answers.set(what, [answer.status, (await answer.text()).replaceAll(epoch, 'epoch')])
  }
  return answers
}

t.test('the OpenAPI description changes no response', async (t) => {
  const without = await answersOf(t, (app) => app.register(pylonSse, sse))
  const described = await answersOf(t, async (app) => {
    await app.register(swagger, { openapi: {} })
    await app.register(pylonSse, sse)
  })
  t.strictSame([...described], [...without])
  const counts: Record<number, number> = {}
  for (const [status] of described.values()) counts[status] = (counts[status] ?? 0) + 1
  t.strictSame(counts, EXPECTED)
})

t.test('responses are as the OpenAPI document says', async (t) => {
  let document: Document | undefined
  const answers = await answersOf(t, async (app) => {
    await app.register(swagger, { openapi: {} })
    await app.register(pylonSse, sse)
    app.addHook('onReady', async () => {
      document = app.swagger() as unknown as Document
    })
  })
  for (const [what, [status, body]] of answers) {
    const operation = document!.paths['/events']![asked[what]!.body === undefined ? 'get' : 'post']!
    const content = operation.responses[status]?.content
    if (status === 204) continue
    t.equal(await fits(content?.['application/json']?.schema, JSON.parse(body)), true, `${what}: ${status} ${body}`)
  }
})

t.test('a limit that is reached is answered as the document says', async (t) => {
  const limits: [PylonSseOptions, number][] = [
    [{ maxClientsPerIp: 1 }, 429],
    [{ maxClients: 1 }, 503]
  ]
  for (const [limit, status] of limits) {
    const s = await serve(t, { setup: (app) => app.register(swagger, { openapi: {} }), sse: limit })
    await s.connect()
    const answer = await fetch(`${s.url}/events`, { headers: JSON_PAGE })
    t.equal(answer.status, status)
    const described = get(s.app.swagger() as unknown as Document).responses[status]!
    t.equal(await fits(described.content!['application/json']!.schema, await answer.json()), true)
    t.match(answer.headers.get('retry-after'), /^\d+$/)
  }
})
