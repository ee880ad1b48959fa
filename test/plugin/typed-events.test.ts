import fastify from 'fastify'
import t from 'tap'
import pylonSse, { type PylonSseOptions } from '../../lib/index.js'
import { serve } from '../kit/server.js'
import { Arrivals } from '../kit/topics.js'

const todo = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'integer' }, title: { type: 'string' }, at: { type: 'string', format: 'date-time' } }
}
const events: PylonSseOptions['events'] = { 'todo.created': todo, list: { type: 'array', items: todo } }

/** Not of the schema, so that one sees who has serialised it. */
const secretive = { id: 7.9, title: 'write', password: 'secret', at: new Date(0) }
const BY_SCHEMA = '{"id":7,"title":"write","at":"1970-01-01T00:00:00.000Z"}'

t.test('data of an event with a schema is serialised by it, however it is sent', async (t) => {
  const arrivals = new Arrivals()
  const served = await serve(t, { sse: { events, publish: {}, onConnect: arrivals.onConnect } })
  const reader = await served.connect()
  const { sse } = served.app
  const event = 'todo.created'
  sse.broadcast(secretive, { event })
  await sse.publish(secretive, { event })
  arrivals.last.send(secretive, { event })
  sse.broadcast([secretive], { event: 'list' })
  const { at, ...plain } = secretive
  await fetch(`${served.url}/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ data: plain, event })
  })
  const got = await reader.take(5)
  t.strictSame(
    got.map(({ data }) => data),
    [BY_SCHEMA, BY_SCHEMA, BY_SCHEMA, `[${BY_SCHEMA}]`, '{"id":7,"title":"write"}']
  )
})

t.test('every other event is serialised as the app says, and text stays text', async (t) => {
  const served = await serve(t, { sse: { events, serialize: (data) => `<${JSON.stringify(data)}>` } })
  const reader = await served.connect()
  const { sse } = served.app
  sse.broadcast({ id: 1.5 })
  sse.broadcast({ id: 1.5 }, { event: 'todo.deleted' })
  sse.broadcast({ id: 1.5 }, { event: 'todo.created' })
  sse.broadcast({ id: 1.5 }, { event: 'toString' })
  sse.broadcastMessage('text', { event: 'todo.created' })
  const got = await reader.take(5)
  t.strictSame(
    got.map(({ data }) => data),
    ['<{"id":1.5}>', '<{"id":1.5}>', '{"id":1}', '<{"id":1.5}>', 'text']
  )
})

t.test('data that its schema cannot serialise is a mistake of the caller, and reaches nobody', async (t) => {
  const arrivals = new Arrivals()
  const served = await serve(t, { sse: { events, onConnect: arrivals.onConnect } })
  const reader = await served.connect()
  const { sse } = served.app
  const mistake = { code: 'PYLON_SSE_ERR_UNSERIALIZABLE' }
  const event = 'todo.created'
  t.throws(() => sse.broadcast({ title: 'no id' }, { event }), mistake)
  await t.rejects(sse.publish({ title: 'no id' }, { event }), mistake)
  t.throws(() => arrivals.last.send({ id: 'no number' }, { event }), mistake)
  sse.broadcastMessage('next')
  t.equal((await reader.next()).data, 'next')
})

const COERCED: [what: string, schema: object, data: unknown, sent: string][] = [
  ['what the schema does not name is left out', object({ a: {} }), { a: 1, b: 2 }, '{"a":1}'],
  ['unless it says otherwise', object({ a: {} }, { additionalProperties: true }), { a: 1, b: 2 }, '{"a":1,"b":2}'],
  ['what it names and is not there is left out', object({ a: { type: 'string' } }), {}, '{}'],
  ['or put in, where it has a default', object({ a: { type: 'string', default: 'd' } }), {}, '{"a":"d"}'],
  ['a number becomes a string', object({ a: { type: 'string' } }), { a: 7 }, '{"a":"7"}'],
  ['a string becomes a number', object({ a: { type: 'number' } }), { a: '7.5' }, '{"a":7.5}'],
  ['a fraction is cut off an integer', object({ a: { type: 'integer' } }), { a: 7.9 }, '{"a":7}'],
  ['any string that is not empty is true', object({ a: { type: 'boolean' } }), { a: 'false' }, '{"a":true}'],
  ['null becomes the empty string', object({ a: { type: 'string' } }, { required: ['a'] }), { a: null }, '{"a":""}'],
  ['null becomes 0', object({ a: { type: 'integer' } }), { a: null }, '{"a":0}'],
  ['null becomes an empty array', object({ a: { type: 'array' } }), { a: null }, '{"a":[]}'],
  ['null becomes an empty object', object({ a: {} }, { required: ['a'] }), null, '{}'],
  ['unless null is among its types', object({ a: { type: ['string', 'null'] } }), { a: null }, '{"a":null}'],
  ['what is no object becomes an empty one', object({ a: { type: 'string' } }), 'text', '{}'],
  ['a constant stands whatever the data', object({ a: { const: 'k' } }), { a: 'other' }, '{"a":"k"}'],
  [
    'limits and formats are not checked',
    { type: 'string', maxLength: 1, enum: ['a'], format: 'date' },
    'long',
    '"long"'
  ]
]

const THROWN: [what: string, schema: object, data: unknown][] = [
  ['what is required is missing', object({ a: {} }, { required: ['a'] }), {}],
  ['no number', object({ a: { type: 'integer' } }), { a: 'x' }],
  ['no array', object({ a: { type: 'array' } }), { a: 'x' }],
  ['none of several types', object({ a: { type: ['string', 'integer'] } }), { a: true }],
  ['none of several schemas', { anyOf: [{ type: 'string' }, { type: 'integer' }] }, {}],
  ['no date', object({ a: { type: 'string', format: 'date-time' } }), { a: new Date(Number.NaN) }],
  ['nothing at all', { type: 'string' }, undefined]
]

function object(properties: object, more: object = {}): object {
  return { type: 'object', properties, ...more }
}

t.test('data that does not fit its schema is coerced, or refused if it cannot be', async (t) => {
  const all = [...COERCED, ...THROWN]
  const schemas = Object.fromEntries(all.map(([what, schema]) => [what, schema])) as NonNullable<
    PylonSseOptions['events']
  >
  const served = await serve(t, { sse: { events: schemas } })
  const reader = await served.connect()
  for (const [event, , data] of all) {
    const send = () => served.app.sse.broadcast(data, { event })
    if (THROWN.some(([what]) => what === event)) t.throws(send, { code: 'PYLON_SSE_ERR_UNSERIALIZABLE' }, event)
    else t.doesNotThrow(send, event)
  }
  for (const [what, , , sent] of COERCED) t.match(await reader.next(), { event: what, data: sent }, what)
})

t.test('a schema that cannot be compiled makes register fail, and the error names its event', async (t) => {
  const app = fastify()
  await t.rejects(async () => app.register(pylonSse, { events: { 'todo.created': { $ref: '#/definitions/none' } } }), {
    code: 'PYLON_SSE_ERR_INVALID_OPTION',
    message: /'events\.todo\.created' got a schema that fails .*; it takes a JSON schema/
  })
})
