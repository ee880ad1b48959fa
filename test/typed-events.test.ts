import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import t from 'tap'
import pylonSse, { type PylonSseOptions } from '../lib/index.js'
import { serve } from './kit/server.js'
import { Arrivals } from './kit/topics.js'

/** What the compiler has to say of a folder of users' code. In a run of its own, since what is declared is for all of it. */
function complaints(fixture: string): Promise<string> {
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  const project = fileURLToPath(new URL(`fixtures/${fixture}`, import.meta.url))
  return new Promise((resolve) => {
    execFile(process.execPath, [compiler, '--noEmit', '-p', project], (error, stdout, stderr) => {
      resolve(error === null ? '' : `${stdout}${stderr}` || error.message)
    })
  })
}

const projects: Record<string, string> = {
  'events that are declared are checked by name and data, wherever one is sent, and so is the state of clients':
    'typed-events',
  'with nothing declared every name, data and state is allowed': 'untyped-events'
}
for (const [what, fixture] of Object.entries(projects)) {
  t.test(what, { timeout: 110_000 }, async (t) => {
    t.equal(await complaints(fixture), '')
  })
}

const todo = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'integer' }, title: { type: 'string' }, at: { type: 'string', format: 'date-time' } }
}
const events: PylonSseOptions['events'] = { 'todo.created': todo, list: { type: 'array', items: todo } }

/** Not of the schema, so that one sees who has serialised it. */
const secretive = { id: 7.9, title: 'write', password: 'secret', at: new Date(0) }
const BY_SCHEMA = '{"id":7,"title":"write","at":"1970-01-01T00:00:00.000Z"}'

t.test('data of an event with a schema is serialised by it, whichever way it is sent', async (t) => {
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

t.test('a schema that cannot be compiled makes register fail, and says whose it is', async (t) => {
  const app = fastify()
  await t.rejects(async () => app.register(pylonSse, { events: { 'todo.created': { $ref: '#/definitions/none' } } }), {
    code: 'PYLON_SSE_ERR_INVALID_OPTION',
    message: /'events\.todo\.created' got a schema that fails .*; it takes a JSON schema/
  })
})
