import t, { type Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import type { EventReader } from '../kit/event-reader.js'
import { type Served, serve } from '../kit/server.js'
import { asksFor } from '../kit/topics.js'

interface Answer {
  status: number
  body: { ids?: string[]; code?: string; message?: string }
}

interface Post {
  headers?: Record<string, string>
  path?: string
}

/** Posts as curl would. */
async function post({ url }: Served, body: unknown, { headers, path = '/events' }: Post = {}): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body)
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) }
}

function servePublic(t: Test, sse: PylonSseOptions = {}): Promise<Served> {
  return serve(t, { sse: { publish: {}, authorizeTopics: () => true, ...sse } })
}

const END = 'end'

async function heard({ app }: Served, reader: EventReader): Promise<string[]> {
  app.sse.broadcastMessage(END)
  await reader.until(({ data }) => data === END)
  return reader.events.map(({ data }) => data).filter((data) => data !== END)
}

t.test('nobody can publish over HTTP unless the option publish is set', async (t) => {
  for (const sse of [{}, { publish: false as const }]) {
    const served = await serve(t, { sse })
    const reader = await served.connect()
    t.equal((await post(served, { data: 1 })).status, 404)
    t.strictSame(await heard(served, reader), [])
  }
})

t.test('what is posted is broadcast, and answered with 202 and its id', async (t) => {
  const served = await servePublic(t)
  const [everyone, subscriber] = [await served.connect(), await served.connect(asksFor('a.b'))]
  const posts: unknown[] = [
    { data: { deep: [1, null] } },
    { data: 'text', event: 'todo.created' },
    { data: null, topic: 'a.b' },
    { data: [1], id: 'own' },
    { data: false, event: 'e', topic: 'a.b', id: 'own-2' }
  ]
  const ids: string[] = []
  for (const body of posts) {
    const answer = await post(served, body)
    t.equal(answer.status, 202)
    t.equal(answer.body.ids?.length, 1)
    ids.push(...answer.body.ids!)
  }
  t.strictSame(ids.slice(3), ['own', 'own-2'])
  t.strictSame(await heard(served, everyone), ['{"deep":[1,null]}', '"text"', '[1]'])
  await heard(served, subscriber)
  t.match(subscriber.events, [
    { id: ids[0], event: undefined, data: '{"deep":[1,null]}' },
    { id: ids[1], event: 'todo.created', data: '"text"' },
    { id: ids[2], event: undefined, data: 'null' },
    { id: ids[3], event: undefined, data: '[1]' },
    { id: ids[4], event: 'e', data: 'false' }
  ])
})

t.test('an array is published in its order, and answered with an id for each', async (t) => {
  const served = await servePublic(t)
  const reader = await served.connect()
  const { status, body } = await post(served, [{ data: 1 }, { data: 2, id: 'two' }, { data: 3 }])
  t.equal(status, 202)
  t.strictSame(await heard(served, reader), ['1', '2', '3'])
  t.strictSame(
    reader.events.slice(0, 3).map(({ id }) => id),
    body.ids
  )
})

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
    t.strictSame(await heard(served, reader), [])
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
  t.strictSame(await heard(served, reader), [])
})

t.test('a request of another type than JSON is refused', async (t) => {
  const served = await servePublic(t)
  t.equal((await post(served, 'data=1', { headers: { 'content-type': 'application/xml' } })).status, 415)
})

// -- retried requests

t.test('a request that is repeated with its idempotency key gets the same ids, and publishes nothing', async (t) => {
  const served = await servePublic(t)
  const reader = await served.connect()
  const key = { headers: { 'idempotency-key': 'k1' } }
  const first = await post(served, [{ data: 1 }, { data: 2, id: 'own' }], key)
  t.equal(first.status, 202)
  for (let i = 0; i < 3; i++) t.strictSame(await post(served, [{ data: 1 }, { data: 2, id: 'own' }], key), first)
  const [one, two] = await Promise.all([
    post(served, { data: 3 }, { headers: { 'idempotency-key': 'k2' } }),
    post(served, { data: 3 }, { headers: { 'idempotency-key': 'k2' } })
  ])
  t.strictSame(one, two)
  await post(served, { data: 4 })
  await post(served, { data: 4 })
  t.strictSame(await heard(served, reader), ['1', '2', '3', '4', '4'])
})

t.test('an idempotency key that is reused with another body is refused with 422', async (t) => {
  const served = await servePublic(t)
  const reader = await served.connect()
  const key = { headers: { 'idempotency-key': 'k' } }
  const first = await post(served, { data: 1 }, key)
  for (const body of [{ data: 2 }, { data: 1, topic: 'a' }, [{ data: 1 }, { data: 1 }]]) {
    t.match(await post(served, body, key), { status: 422, body: { code: 'PYLON_SSE_ERR_IDEMPOTENCY_KEY_REUSED' } })
  }
  t.strictSame(await post(served, { data: 1 }, key), first, 'while the first body still gets its answer')
  t.strictSame(await heard(served, reader), ['1'])
})

t.test('a request that was refused does not use up its idempotency key', async (t) => {
  const served = await servePublic(t)
  served.app.sse.broadcast('held', { id: 'held' })
  const key = { headers: { 'idempotency-key': 'k' } }
  t.equal((await post(served, { data: 1, id: 'held' }, key)).status, 409)
  t.equal((await post(served, { data: 1, id: 'other' }, key)).status, 202)
})

// -- who may

t.test('the options of the route say who may publish; the stream has its own', async (t) => {
  const served = await servePublic(t, {
    publish: {
      onRequest: async ({ headers }, reply) => {
        if (headers.authorization !== 'Bearer service') return reply.code(401).send({ message: 'no' })
      }
    }
  })
  const reader = await served.connect()
  t.equal(reader.status, 200)
  t.equal((await post(served, { data: 1 })).status, 401)
  t.equal((await post(served, { data: 2 }, { headers: { authorization: 'Bearer user' } })).status, 401)
  t.equal((await post(served, { data: 3 }, { headers: { authorization: 'Bearer service' } })).status, 202)
  t.strictSame(await heard(served, reader), ['3'])
})

t.test('the options of the stream do not let anybody publish', async (t) => {
  const served = await servePublic(t, { route: { onRequest: async (_request, reply) => reply.code(401).send() } })
  t.equal((await served.connect()).status, 401)
  t.equal((await post(served, { data: 1 })).status, 202)
})

t.test('events are posted to the path of the stream, under its prefix', async (t) => {
  const { default: pylonSse } = await import('../../lib/index.js')
  const served = await serve(t, {
    sse: false,
    setup: (app) => app.register(pylonSse, { prefix: '/v1', path: '/live', publish: {} })
  })
  t.equal((await post(served, { data: 1 }, { path: '/v1/live' })).status, 202)
  t.equal((await post(served, { data: 1 })).status, 404)
})

t.test('a server that closes takes no more events', async (t) => {
  const served = await servePublic(t)
  const reader = await served.connect()
  const pending = served.connect({ waitForHead: false })
  await (await pending).head()
  const closed = served.app.close()
  await reader.waitForEnd()
  const answer = await post(served, { data: 1 }).catch(() => ({ status: 503 }))
  t.equal(answer.status, 503)
  await closed
  await Promise.all([reader.waitForClose(), (await pending).waitForClose()])
  t.equal(served.app.sse.stats().events, 0)
})

t.test('a page of another origin cannot publish, unless the option cors is set', async (t) => {
  const strangers: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example' },
    { origin: 'null' }
  ]
  const served = await servePublic(t)
  const friends: Record<string, string>[] = [
    {},
    { 'sec-fetch-site': 'same-origin', origin: 'https://evil.example' },
    { 'sec-fetch-site': 'none' },
    { origin: served.url }
  ]
  for (const headers of strangers) {
    const answer = await post(served, { data: 1 }, { headers })
    t.match(answer, { status: 403, body: { code: 'PYLON_SSE_ERR_CROSS_ORIGIN' } }, JSON.stringify(headers))
  }
  for (const headers of friends) t.equal((await post(served, { data: 1 }, { headers })).status, 202)
  const open = await servePublic(t, { cors: { origin: 'https://app.example' } })
  for (const headers of strangers) t.equal((await post(open, { data: 1 }, { headers })).status, 202)
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

t.test('an app with a validator and a serializer of its own can have events published', async (t) => {
  const served = await serve(t, {
    sse: { publish: { attachValidation: true } },
    setup: (app) => {
      app.setValidatorCompiler(({ schema }) => (schema as { safeParse(): never }).safeParse())
      app.setSerializerCompiler(({ schema }) => (schema as { safeParse(): never }).safeParse())
    }
  })
  t.equal((await post(served, { data: 1 })).status, 202)
  t.equal((await post(served, 'null')).status, 400)
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

t.test('an empty idempotency key is none, and one of more than 255 characters is refused', async (t) => {
  const served = await servePublic(t)
  const withKey = (key: string) => ({ headers: { 'idempotency-key': key } })
  for (const data of [1, 2]) t.equal((await post(served, { data }, withKey(''))).status, 202)
  t.equal((await post(served, { data: 1 }, withKey('k'.repeat(255)))).status, 202)
  const refused = await post(served, { data: 1 }, withKey('k'.repeat(256)))
  t.match(refused, { status: 400, body: { code: 'PYLON_SSE_ERR_INVALID_EVENT' } })
})

t.test('a request without a body is refused', async (t) => {
  const { url } = await servePublic(t)
  t.equal((await fetch(`${url}/events`, { method: 'POST' })).status, 415)
})
