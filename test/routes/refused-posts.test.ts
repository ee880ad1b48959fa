import t from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { post, servePublic } from '../kit/posted-events.js'
import { serve } from '../kit/server.js'
import { heard } from '../kit/topics.js'

const refused: [what: string, body: unknown, status: number, code: string, sse?: PylonSseOptions][] = [
  ['no data', { event: 'x' }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['no object', '"text"', 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['null', 'null', 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['an empty array', [], 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['an array of something else', [1], 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['an array in an array', [[{ data: 1 }]], 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['more than 1,000 events', new Array(1001).fill({ data: 1 }), 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['an event name that is an object', { data: 1, event: {} }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['an empty topic', { data: 1, topic: '' }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['a misspelt field', { data: 1, topics: 'a' }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['a client to leave out', { data: 1, except: 'someone' }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['an empty id', { data: 1, id: '' }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['no JSON', '{"data":', 400, 'FST_ERR_CTP_INVALID_JSON_BODY'],
  ['nothing', '', 400, 'FST_ERR_CTP_EMPTY_JSON_BODY'],
  ['a line break in the name', { data: 1, event: 'a\nid: forged' }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['a line break in the id', { data: 1, id: 'a\n\ndata: x' }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['a line break in the topic', { data: 1, topic: 'a\nb' }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['a wildcard as topic', { data: 1, topic: 'a.*' }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['a topic that is too long', { data: 1, topic: 'x'.repeat(257) }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['an id that keeps clients away', { data: 1, id: 'stay-away' }, 400, 'PYLON_SSE_ERR_INVALID_EVENT'],
  ['an id that the log holds', { data: 1, id: 'held' }, 409, 'PYLON_SSE_ERR_DUPLICATE_ID'],
  ['data past maxEventBytes', { data: 'x'.repeat(100) }, 413, 'PYLON_SSE_ERR_EVENT_TOO_LARGE', { maxEventBytes: 100 }],
  [
    'a body past the bodyLimit',
    { data: 'x'.repeat(100) },
    413,
    'FST_ERR_CTP_BODY_TOO_LARGE',
    { publish: { bodyLimit: 100 } }
  ],
  [
    "data that the event's schema cannot serialise",
    { data: {}, event: 'todo' },
    400,
    'PYLON_SSE_ERR_UNSERIALIZABLE',
    { events: { todo: { type: 'object', required: ['id'], properties: { id: { type: 'integer' } } } } }
  ]
]
for (const [what, body, status, code, sse] of refused) {
  t.test(`${what} is refused with ${status}; in an array it takes the whole array with it`, async (t) => {
    const served = await servePublic(t, sse)
    served.app.sse.broadcast('held', { id: 'held' })
    const reader = await served.connect()
    const answer = await post(served, body)
    t.equal(answer.status, status)
    t.equal(answer.body.code, code)
    if (typeof body === 'object' && !Array.isArray(body)) {
      const around = { data: 'fine' }
      const array = await post(served, [around, body, around])
      t.equal(array.status, status)
      t.equal(array.body.code, code)
    }
    t.strictSame(await heard(served, reader), [[]])
    t.equal((await post(served, { data: 1 })).status, 202, 'and the next one is taken')
  })
}

t.test('an id that comes twice in one array is refused, and none of it is published', async (t) => {
  const served = await servePublic(t)
  const reader = await served.connect()
  for (const [one, two] of [
    ['a', 'a'],
    ['a', ' a ']
  ]) {
    const answer = await post(served, [{ data: 1, id: one }, { data: 2 }, { data: 3, id: two }])
    t.match(answer, { status: 409, body: { code: 'PYLON_SSE_ERR_DUPLICATE_ID' } })
  }
  t.strictSame(await heard(served, reader), [[]])
})

t.test('a request of another type than JSON is refused', async (t) => {
  const served = await servePublic(t)
  t.equal((await post(served, 'data=1', { headers: { 'content-type': 'application/xml' } })).status, 415)
})

t.test('bodies that a page may send without a preflight are refused, even if the app parses them', async (t) => {
  const served = await serve(t, {
    sse: { publish: {} },
    setup: (app) => {
      app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
        done(null, Object.fromEntries(new URLSearchParams(String(body))))
      })
    }
  })
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const bare = await servePublic(t, { publish: { preParsing: async (_request, _reply, payload) => payload } })
  for (const headers of [
    form,
    { 'content-type': 'multipart/form-data; boundary=x' },
    { 'content-type': 'text/plain' }
  ]) {
    const refusal = await post(bare, 'data=owned', { headers })
    t.match(refusal, { status: 415, body: { code: 'PYLON_SSE_ERR_UNSUPPORTED_TYPE' } }, headers['content-type'])
  }
  const answer = await post(served, 'data=owned&event=x', { headers: form })
  t.match(answer, { status: 415, body: { code: 'PYLON_SSE_ERR_UNSUPPORTED_TYPE' } })
  for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON']) {
    t.equal((await post(served, { data: 1 }, { headers: { 'content-type': type } })).status, 202, type)
  }
})

t.test('data nested too deep to be serialised are refused with 400, with an idempotency key and without', async (t) => {
  const served = await servePublic(t)
  const deep = `{"data":${'['.repeat(20_000)}${']'.repeat(20_000)}}`
  for (const headers of [{}, { 'idempotency-key': 'k' }]) {
    const { status, body } = await post(served, deep, { headers })
    t.match({ status, body }, { status: 400, body: { code: 'PYLON_SSE_ERR_UNSERIALIZABLE' } })
  }
  t.equal(
    (await post(served, { data: 1 }, { headers: { 'idempotency-key': 'k' } })).status,
    202,
    'the key is not used up'
  )
})

t.test('a request without a body is refused', async (t) => {
  const { url } = await servePublic(t)
  t.equal((await fetch(`${url}/events`, { method: 'POST' })).status, 415)
})
