import swagger from '@fastify/swagger'
import fastify, { type FastifySchema } from 'fastify'
import t from 'tap'
import pylonSse, { type PylonSseOptions } from '../../lib/index.js'
import { type Document, documentOf, events, fits, get, type Json, names, page, todo } from '../kit/openapi.js'
import { serve } from '../kit/server.js'

t.test('the document has the stream, with its parameters and its answers', async (t) => {
  const document = await documentOf(t, { authorizeTopics: () => true, maxClients: 5 })
  t.strictSame(Object.keys(document.paths), ['/events'])
  t.strictSame(
    Object.keys(document.paths['/events']!),
    ['get'],
    'neither HEAD nor OPTIONS, nor POST unless it is there'
  )
  const operation = get(document)
  t.type(operation.summary, 'string')
  t.strictSame(names(operation), [
    'query topic',
    'query lastEventId',
    'query since',
    'query limit',
    'query wait',
    'header Last-Event-ID'
  ])
  t.ok(operation.parameters!.every(({ required, description }) => required === false && description))
  t.strictSame(Object.keys(operation.responses), ['200', '204', '400', '403', '406', '410', '429', '503'])
  t.strictSame(Object.keys(operation.responses[200]!.content!), ['text/event-stream', 'application/json'])
  t.strictSame(operation.responses[200]!.content!['text/event-stream']!.schema, { type: 'string' })
  t.notHas(operation.responses[204], { content: {} })
  for (const status of [429, 503]) t.hasProp(operation.responses[status]!.headers!, 'Retry-After')
  t.match(operation.responses[503]!.content!['application/json']!.schema.properties, {
    code: { enum: ['PYLON_SSE_ERR_CLOSING', 'PYLON_SSE_ERR_SERVER_FULL'] }
  })
})

t.test('the document says only what the options make possible', async (t) => {
  const operation = get(await documentOf(t, { maxClientsPerIp: false }))
  t.notOk(names(operation).includes('query topic'))
  t.notHas(operation.responses, { 429: {} })
  t.match(operation.responses[503]!.content!['application/json']!.schema.properties, {
    code: { enum: ['PYLON_SSE_ERR_CLOSING'] }
  })
})

t.test('the document has the path as it is, prefix and parameters included', async (t) => {
  const document = await documentOf(t, { path: '/rooms/:room/events', prefix: '/v1' } as PylonSseOptions)
  t.match(names(get(document, '/v1/rooms/{room}/events')).slice(-1), ['path room'])
})

t.test('the data of named events are in the document: of a page, and of the stream', async (t) => {
  const operation = get(await documentOf(t, { events }))
  const event = { id: 'x-1', event: 'todo.created' }
  const one = (data: unknown, more: object = {}) => ({
    events: [{ ...event, data, ...more }],
    cursor: 'x-1',
    hasMore: false
  })
  const { anyOf } = (page(operation).properties as { events: { items: { anyOf: Json[] } } }).events.items
  t.match(anyOf, [{ title: 'todo.created' }, { title: 'moved' }, { title: 'any event' }])
  t.equal(await fits(anyOf[0], one({ id: 7, due: null }).events[0]), true)
  t.not(await fits(anyOf[0], one({ title: 'no id' }).events[0]), true)
  t.not(await fits(anyOf[0], one({ id: 7 }, { event: 'moved' }).events[0]), true)
  t.equal(await fits(page(operation), one({ id: 7 })), true)
  const described = operation.responses[200]!.content!['text/event-stream']!['x-events'] as Json
  t.strictSame(Object.keys(described), ['todo.created', 'moved', 'resync'])
  t.match(described['todo.created'], { required: ['id'], properties: { due: { type: 'string', nullable: true } } })
})

t.test('OpenAPI 3.2 has the events of the stream as its items; 3.1 and 3.0 have them in an extension', async (t) => {
  const stream = (document: Document) => get(document).responses[200]!.content!['text/event-stream']!
  const at = async (openapi: string) => stream(await documentOf(t, { events }, { openapi: { openapi } }))
  for (const version of ['3.0.3', '3.1.0']) {
    const media = await at(version)
    t.strictSame(Object.keys(media), ['schema', 'x-events'], version)
  }
  const media = await at('3.2.0')
  t.strictSame(Object.keys(media), ['schema', 'itemSchema'])
  t.match((media.itemSchema as Json).anyOf, [
    {
      title: 'todo.created',
      properties: {
        event: { enum: ['todo.created'] },
        data: { contentMediaType: 'application/json', contentSchema: { required: ['id'] } }
      }
    },
    { title: 'moved' },
    {
      title: 'resync',
      properties: { data: { contentSchema: { properties: { missed: { type: ['integer', 'null'] } } } } }
    },
    { title: 'any event' }
  ])
})

t.test('a Swagger 2.0 document has the stream, too', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(swagger)
  await app.register(pylonSse, { events, publish: {} })
  await app.ready()
  const document = app.swagger() as unknown as Document & { swagger: string }
  t.equal(document.swagger, '2.0')
  t.match(document.paths['/events'], { get: { responses: { 200: { schema: { type: 'string' } } } }, post: {} })
})

const NODE = {
  $id: 'node',
  definitions: { label: { type: 'string', enum: ['a'] }, definitions: { $ref: '#/definitions/label' } },
  type: 'object',
  properties: {
    label: { $ref: '#/definitions/label' },
    definitions: { $ref: 'node#/definitions/definitions' },
    next: { $ref: '#' },
    list: { type: 'array', items: { $ref: 'node#' } }
  }
}

t.test('what event schemas refer to in themselves is written out, and what recurs may be anything', async (t) => {
  const document = await documentOf(t, { events: { node: NODE } })
  const { anyOf } = (
    page(get(document)).properties as { events: { items: { anyOf: [{ properties: { data: Json } }] } } }
  ).events.items
  const label = { type: 'string', enum: ['a'] }
  const inner = {
    type: 'object',
    properties: { label, definitions: label, next: {}, list: { type: 'array', items: {} } }
  }
  t.strictSame(anyOf[0].properties.data, {
    type: 'object',
    properties: { label, definitions: label, next: inner, list: { type: 'array', items: inner } }
  })
  t.notMatch(JSON.stringify(document), /\$ref|\$id/)
})

t.test('what an event schema refers to by a name within it may be anything in the document', async (t) => {
  const named = (name: string) => ({
    type: 'object',
    definitions: { one: { $id: name, type: 'string' } },
    properties: { one: { $ref: name } }
  })
  const sse = { events: { id: named('inner'), anchor: named('#anchor') } }
  const described = get(await documentOf(t, sse)).responses[200]!.content!['text/event-stream']!['x-events']
  const anything = { type: 'object', properties: { one: {} } }
  t.match(described, { id: anything, anchor: anything })
  t.strictSame(Object.keys((described as { id: { properties: { one: object } } }).id.properties.one), [])
})

t.test('a shared schema is given to an event by getSchema', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: {} })
  app.addSchema({ $id: 'todo', ...todo })
  await t.rejects(async () => app.register(pylonSse, { events: { made: { $ref: 'todo#' } } }), {
    code: 'PYLON_SSE_ERR_INVALID_OPTION',
    message: /events\.made/
  })
  const whole = await serve(t, {
    sse: false,
    setup: async (app) => {
      await app.register(swagger, { openapi: {} })
      app.addSchema({ $id: 'todo', ...todo })
      const shared = app.getSchema('todo') as Json
      app.get('/todo', { schema: { response: { 200: { $ref: 'todo#' } } } }, async () => ({}))
      await app.register(pylonSse, { events: { made: shared, kept: shared } })
    }
  })
  const reader = await whole.connect()
  whole.app.sse.broadcast({ id: 7, secret: 1 }, { event: 'made' })
  t.equal((await reader.next()).data, '{"id":7}')
  const described = get(whole.app.swagger() as unknown as Document).responses[200]!.content!['text/event-stream']!
  t.match(described['x-events'], { made: { required: ['id'] }, kept: { required: ['id'] } })
})

// -- what the app says itself

t.test('the schema of the app validates, and stands in the document beside what the plugin says', async (t) => {
  const schema = {
    summary: 'Board',
    tags: ['board'],
    security: [{ bearer: [] }],
    querystring: {
      type: 'object',
      required: ['board'],
      properties: { board: { type: 'integer' }, limit: { type: 'integer', maximum: 10 } }
    },
    headers: { type: 'object', properties: { 'last-event-id': { type: 'string', maxLength: 64 } } },
    response: {
      401: { type: 'object', description: 'Log in first.', properties: { message: { type: 'string' } } },
      403: { type: 'object', properties: { code: { type: 'string' } } }
    }
  }
  const openapi = { components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } } }
  const s = await serve(t, {
    setup: (app) => app.register(swagger, { openapi } as object),
    sse: { route: { schema: schema as FastifySchema } }
  })
  const status = async (path: string) =>
    (await fetch(`${s.url}/events${path}`, { headers: { accept: 'application/json' } })).status
  t.equal(await status(''), 400)
  t.equal(await status('?board=x'), 400)
  t.equal(await status('?board=1&limit=11'), 400)
  t.equal(await status('?board=1&limit=10'), 200)
  const refused = await fetch(`${s.url}/events?board=1&topic=a`)
  t.strictSame(await refused.json(), { code: 'PYLON_SSE_ERR_TOPIC_FORBIDDEN' }, 'and serialises')
  const operation = get(s.app.swagger() as unknown as Document)
  t.match(operation, {
    summary: 'Board',
    tags: ['board'],
    security: [{ bearer: [] }],
    description: /Server-Sent Events/
  })
  t.strictSame(names(operation), [
    'query lastEventId',
    'query since',
    'query wait',
    'query board',
    'query limit',
    'header last-event-id'
  ])
  t.match(operation.parameters!.slice(3, 5), [{ required: true }, { required: false, schema: { maximum: 10 } }])
  t.match(operation.responses, {
    200: {},
    401: { description: 'Log in first.' },
    403: { description: /topics/, content: { 'application/json': { schema: { properties: { code: {} } } } } }
  })
})

t.test('parameters that the app gives in another form than properties are taken as they are', async (t) => {
  const board = { type: 'object', properties: { board: { type: 'string' } } }
  for (const querystring of [{ $ref: 'query#' }, { anyOf: [board] }]) {
    const document = await documentOf(
      t,
      { route: { schema: { querystring } } },
      { setup: (app) => app.addSchema({ $id: 'query', ...board }) }
    )
    t.strictSame(names(get(document)), ['query board', 'header Last-Event-ID'])
  }
})

t.test('an app can hide the stream, describe it by itself, or go on from what it gets', async (t) => {
  const hidden = await documentOf(t, { publish: {}, route: { schema: { hide: true } } })
  t.strictSame(Object.keys(hidden.paths['/events']!), ['post'])

  const own = await documentOf(t, { route: { schema: { summary: 'Mine' }, config: { swaggerTransform: false } } })
  t.strictSame(get(own), { summary: 'Mine', responses: { 200: { description: 'Default Response' } } })

  const further = await documentOf(t, {
    route: {
      schema: { tags: ['a'] },
      config: {
        swaggerTransform: ({ schema, url }) => ({ schema: { ...schema, operationId: 'listen' }, url: `/api${url}` })
      }
    }
  })
  t.match(get(further, '/api/events'), { operationId: 'listen', tags: ['a'], summary: 'Event stream' })
})

t.test('POST is in the document with its body and its answers, and the schema of the app validates', async (t) => {
  const schema = { tags: ['publish'], headers: { type: 'object', required: ['x-from'], properties: { 'x-from': {} } } }
  const s = await serve(t, {
    setup: (app) => app.register(swagger, { openapi: {} }),
    sse: { publish: { schema: schema as FastifySchema } }
  })
  const post = async (headers: Record<string, string>) => {
    const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers } }
    return (await fetch(`${s.url}/events`, { ...init, body: '{"data":1}' })).status
  }
  t.equal(await post({}), 400)
  t.equal(await post({ 'x-from': 'here' }), 202)
  const operation = (s.app.swagger() as unknown as Document).paths['/events']!.post!
  t.match(operation, { summary: 'Publish events', tags: ['publish'] })
  t.strictSame(names(operation), ['header Idempotency-Key', 'header x-from'])
  t.strictSame(Object.keys(operation.responses), ['202', '400', '403', '409', '413', '415', '422', '503'])
  t.match(operation.responses[202], { description: /ids/, content: { 'application/json': {} } })
  const body = operation.requestBody!.content['application/json']!.schema
  t.equal(await fits(body, [{ data: null, topic: 'a' }]), true)
  t.not(await fits(body, { event: 'no data' }), true)
})
