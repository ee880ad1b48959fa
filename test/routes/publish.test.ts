import t from 'tap'
import { post, servePublic } from '../kit/posted-events.js'
import { serve } from '../kit/server.js'
import { asksFor, heard } from '../kit/topics.js'

t.test('nobody can publish over HTTP unless the option publish is set', async (t) => {
  for (const sse of [{}, { publish: false as const }]) {
    const served = await serve(t, { sse })
    const reader = await served.connect()
    t.equal((await post(served, { data: 1 })).status, 404)
    t.strictSame(await heard(served, reader), [[]])
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
  t.strictSame(await heard(served, everyone), [['{"deep":[1,null]}', '"text"', '[1]']])
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
  t.strictSame(await heard(served, reader), [['1', '2', '3']])
  t.strictSame(
    reader.events.slice(0, 3).map(({ id }) => id),
    body.ids
  )
})

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
  t.strictSame(await heard(served, reader), [['3']])
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
