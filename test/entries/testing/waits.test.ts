import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { StreamReader } from '../../../lib/entries/testing/stream-reader.js'
import {
  BrokenStreamError,
  listen,
  NotReceivedError,
  UnexpectedEventError
} from '../../../lib/entries/testing/testing.js'
import pylonSse, { type PylonSseOptions } from '../../../lib/index.js'
import { deferred, gate } from '../../kit/deferred.js'

async function withStream(t: Test, options?: PylonSseOptions): Promise<FastifyInstance> {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(pylonSse, options ?? {})
  return app
}

t.test('each wait continues after the event that the last one returned', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  for (const n of [1, 2, 3, 4, 5, 6, 7]) app.sse.broadcast(n, { event: n % 2 === 0 ? 'even' : 'odd' })
  app.sse.broadcast(8)
  t.equal((await events.next('even')).data, 2)
  t.equal((await events.next()).data, 3)
  t.equal((await events.until(({ data }) => data > 4)).data, 5)
  t.strictSame(
    (await events.take(2)).map(({ data }) => data),
    [6, 7]
  )
  t.equal((await events.next('message')).data, 8)
  await t.rejects(
    events.next('odd', { timeout: 1 }),
    { message: /for the event 'odd'\. / },
    'those passed over come no more'
  )
  t.strictSame(
    events.all.map(({ data }) => data),
    [1, 2, 3, 4, 5, 6, 7, 8]
  )
})

t.test('two waits at once get two events', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  const both = Promise.all([events.next(), events.next()])
  app.sse.broadcast(1)
  app.sse.broadcast(2)
  t.strictSame(
    (await both).map(({ data }) => data),
    [1, 2]
  )
})

t.test('a wait that fails says what was awaited, how long, and what has come', async (t) => {
  const app = await withStream(t)
  const events = await listen(app, { timeout: 20 })
  const { client } = await events.connected()
  app.sse.broadcast({ id: 7 }, { event: 'todo.created', id: 'a' })
  for (const sse of app.sse.clients) sse.send('x'.repeat(200))
  await events.next()
  const error = await events.next('todo.create').catch((error: unknown) => error as Error)
  t.type(error, NotReceivedError)
  t.match(error, { code: 'PYLON_SSE_ERR_NOT_RECEIVED', name: 'NotReceivedError' })
  const epoch = /connected \(id (\w+)-0\)/.exec((error as Error).message)?.[1]
  t.strictSame((error as Error).message.split('\n'), [
    "Waited 20 ms for the event 'todo.create' (did you mean 'todo.created'?). The answer: 200, text/event-stream. " +
      `The connection is open, it began with connected (id ${epoch}-0) {"client":"${client}","keepAlive":30000}, ` +
      "the last event id is 'a'. 2 events have come:",
    '  todo.created (id a, taken) {"id":7}',
    `  message ${'x'.repeat(120)}… (200 characters)`
  ])
  t.match((error as Error).stack?.split('\n')[3], /waits\.test\.ts/, 'its stack begins with the test')
  await t.rejects(events.take(2), { message: /^Waited 20 ms for the next 2 events\. / })
  await t.rejects(
    events.until(({ data }) => data === 1, { timeout: 10 }),
    {
      message: /^Waited 10 ms for an event such that \(\{ data \}\) => data === 1\. /
    }
  )
  await t.rejects(events.end({ timeout: 10 }), { message: /^Waited 10 ms for the end of the stream\. / })
})

t.test('of many events the last ones are shown', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  for (let n = 1; n <= 30; n++) app.sse.broadcast(n, { event: 'tick', id: `${n}` })
  await events.take(30)
  await t.rejects(events.next({ timeout: 1 }), {
    message: /30 events have come:\n {2}… 20 before\n {2}tick \(id 21, taken\) 21\n/
  })
})

t.test('a wait ends at once with the stream', async (t) => {
  const app = await withStream(t)
  const events = await listen(app, { timeout: 60_000 })
  const next = t.rejects(events.next('a'), {
    message:
      /^Waited for the event 'a', but it can come no more\. .* The connection has ended, .*\. No event has come\.$/
  })
  const none = t.rejects(events.none(60_000), {
    message: /^Waited for 60000 ms for no event, but it can come no more\./
  })
  await app.close()
  await Promise.all([next, none])
})

t.test('a stream that the server has ended is resumed, with the same listener', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  for (const client of app.sse.clients) client.close()
  await events.end()
  app.sse.broadcast(1)
  await events.resume()
  t.notOk(events.ended)
  t.equal((await events.next()).data, 1)
  await events.resume()
  t.equal(app.sse.stats().accepted, 2, 'one that is open is left as it is')
})

t.test('a listener begins after the last event id that is given', async (t) => {
  const app = await withStream(t)
  app.sse.broadcast(1, { id: 'a' })
  app.sse.broadcast(2, { id: 'b' })
  const events = await listen(app, { lastEventId: 'a' })
  t.equal((await events.next()).data, 2)
  const fresh = await listen(app, { headers: { 'last-event-id': 'unheard-of' } })
  t.match(await fresh.next('resync'), { data: { reason: 'unknown', missed: null } })
})

t.test('none() resolves if no event, or none of that name, comes besides those taken', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  await events.none(1)
  app.sse.broadcast(1, { event: 'a', id: 'x' })
  await events.none(5, 'b')
  const error = await events.none(60_000).catch((error: unknown) => error)
  t.type(error, UnexpectedEventError)
  t.match(error, {
    code: 'PYLON_SSE_ERR_UNEXPECTED_EVENT',
    message: 'There was to be no event for 60000 ms, but: a (id x) 1'
  })
  await events.next()
  await events.none(1)
  const later = events.none(60_000, 'message')
  app.sse.broadcast(2, { event: 'a' })
  app.sse.broadcast(3)
  await t.rejects(later, { message: /^There was to be no event 'message' for 60000 ms, but: message \(id .*\) 3$/ })
})

t.test('a wait rejects with what its predicate throws', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  app.sse.broadcast(null)
  await t.rejects(
    events.until(({ data }) => data.id === 1),
    TypeError
  )
})

t.test('bytes that are no event stream fail every wait', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  const answer =
    (type: Record<string, string>, bytes: Buffer) => (_: unknown, reply: { hijack(): void; raw: ServerResponse }) => {
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream', ...type })
      reply.raw.end(bytes)
    }
  app.get('/latin1', answer({}, Buffer.from('data: \xe9\n\n', 'latin1')))
  app.get('/no-gzip', answer({ 'content-encoding': 'gzip' }, Buffer.from('data: 1\n\n')))
  app.get('/brotli', answer({ 'content-encoding': 'br' }, Buffer.from('data: 1\n\n')))
  app.get('/cut-character', answer({}, Buffer.from('data: 1\n\n\xc3', 'latin1')))
  app.get('/bom', answer({}, Buffer.from('\uFEFFdata: 1\n\n')))
  app.get('/foreign', answer({}, Buffer.from('data: just text\n\n')))
  app.get('/empty', (_, reply) => reply.code(204).send())
  const why = {
    '/latin1': /^What came is no event stream: The encoded data was not valid for encoding utf-8\. The answer: 200, /,
    '/no-gzip': /^What came is no event stream: incorrect header check\. /,
    '/brotli': /^What came is no event stream: content-encoding br\. /,
    '/cut-character': /^What came is no event stream: The encoded data was not valid for encoding utf-8\. /
  }
  for (const [path, message] of Object.entries(why)) {
    const events = await listen(app, path)
    await t.rejects(events.next(), { code: 'PYLON_SSE_ERR_BROKEN_STREAM', message }, path)
    await t.rejects(events.none(10), BrokenStreamError)
    await t.rejects(events.end(), BrokenStreamError)
  }
  t.equal((await (await listen(app, '/bom')).next()).data, 1)
  t.equal(
    (await (await listen(app, '/foreign')).next()).data,
    'just text',
    'that of another server, which says nothing of it'
  )
  await t.rejects((await listen(app, '/empty')).next(), { message: /The answer is no event stream: 204\.$/ })
})

t.test('a lost connection does not count as the end', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  app.get('/', (_, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
    reply.raw.write('data: 1\n\n')
    setImmediate(() => reply.raw.destroy())
  })
  const lost = {
    inject: /was lost \(response destroyed before completion\)/,
    socket: /was lost \(closed by the server\)/
  }
  for (const [transport, message] of Object.entries(lost)) {
    const events = await listen(app, '/', { transport: transport as 'inject' })
    t.equal((await events.next()).data, 1)
    await t.rejects(events.end(), { message })
    t.notOk(events.ended)
  }
})

t.test('a signal closes the connection, and fails what waits', async (t) => {
  const app = await withStream(t)
  const controller = new AbortController()
  const events = await listen(app, { signal: controller.signal, timeout: 60_000 })
  const gone = once([...app.sse.clients][0]!.signal, 'abort')
  const next = t.rejects(events.next(), { message: /^Waited for the next event, but it can come no more\./ })
  controller.abort()
  await Promise.all([next, gone])
  const aborted = AbortSignal.abort(new Error('too late'))
  await t.rejects(listen(app, { signal: aborted }), { message: 'too late' })
  t.equal(app.sse.stats().accepted, 1)
})

t.test('a signal ends the wait for an answer', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  const controller = new AbortController()
  app.get('/never', () => {
    controller.abort(new Error('no more'))
    return new Promise(() => {})
  })
  for (const transport of ['inject', 'socket'] as const) {
    await t.rejects(listen(app, '/never', { signal: controller.signal, transport }), { message: 'no more' })
  }
})

t.test('a signal that aborts while connecting leaves no connection', async (t) => {
  const app = await withStream(t)
  const controller = new AbortController()
  const opening = listen(app, { signal: controller.signal, transport: 'socket' })
  controller.abort()
  await t.rejects(opening, { name: 'AbortError' })
  t.equal(app.sse.clientCount, 0)
})

t.test('an answer that comes too late is given up', async (t) => {
  const disconnected = deferred<string>()
  const app = await withStream(t, { path: false, onDisconnect: (_, reason) => disconnected.resolve(reason) })
  const { pass, reached, open } = gate()
  app.get('/late', async (request, reply) => {
    await pass()
    return app.sse.stream(request, reply)
  })
  const late = t.rejects(listen(app, '/late', { timeout: 20 }), NotReceivedError)
  await reached
  await late
  open()
  t.equal(await disconnected.promise, 'disconnected')
})

t.test('a listener that stalls while connecting reads nothing', async (t) => {
  const app = await withStream(t)
  for (const transport of ['inject', 'socket'] as const) {
    const events = await listen(app, { transport, timeout: 20 })
    await events.cut()
    const resumed = events.resume()
    events.stall()
    await resumed
    await new Promise(setImmediate)
    const { length } = events.all
    app.sse.broadcast(1)
    await t.rejects(events.next(), NotReceivedError)
    t.equal(events.all.length, length)
    await events.resume()
    t.equal((await events.next()).data, 1)
  }
})

t.test('events that were not parsed are shown as they came', async (t) => {
  const reader = new StreamReader({
    interpret: ({ event, id, data, topic }) => ({ event, id, data, topic }),
    patience: 5
  })
  t.throws(() => reader.status, { message: 'the head has not come yet: await head() first' })
  await t.rejects(reader.next(), { message: 'Waited 5 ms for the next event. There is no answer.' })
  reader.receiveHead({ status: 200, rawHeaders: [['Content-Type', 'text/event-stream']] })
  reader.receive(Buffer.from(': topic t\ndata: {"a":\ndata: 1}\n\n'))
  await t.rejects(reader.named('messag'), {
    message: /did you mean 'message'.* 1 event has come:\n {2}message \(topic t\) {"a":\n1}$/
  })
  t.strictSame(await reader.named('message'), { event: undefined, id: undefined, data: '{"a":\n1}', topic: 't' })
  let isClosed = false
  void reader.closed.then(() => {
    isClosed = true
  })
  reader.begin()
  await t.rejects(reader.next(), {
    message: /^Waited 5 ms for the next event\. There is no answer\. 1 event has come:/
  })
  reader.hangUp()
  await reader.closed
  t.notOk(isClosed, 'that was another connection')
})

t.test('await using closes it', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  await events[Symbol.asyncDispose]()
  t.equal(app.sse.clientCount, 0)
})

t.test('invalid options are refused, with what they take', async (t) => {
  const app = await withStream(t)
  const refused: [options: object, message: string][] = [
    [{ topic: ['a'] }, "Option 'topic' does not exist; did you mean 'topics'?"],
    [{ topics: 'a' }, "Option 'topics' got 'a'; it takes an array of topics."],
    [{ topics: [1] }, "Option 'topics' got an array; it takes an array of topics."],
    [{ query: { a: 1 } }, "Option 'query.a' got 1; it takes a string."],
    [{ headers: 'a: b' }, "Option 'headers' got 'a: b'; it takes an object of headers."],
    [{ headers: { a: 1 } }, "Option 'headers.a' got 1; it takes a string or an array of strings."],
    [{ lastEventId: 7 }, "Option 'lastEventId' got 7; it takes a string."],
    [{ method: 'post' }, "Option 'method' got 'post'; it takes a method such as 'POST'."],
    [{ transport: 'tcp' }, "Option 'transport' got 'tcp'; it takes 'inject' or 'socket'."],
    [{ ip: 1 }, "Option 'ip' got 1; it takes a string."],
    [{ timeout: 0 }, "Option 'timeout' got 0; it takes a whole number from 1 to 2147483647."],
    [{ signal: {} }, "Option 'signal' got an object; it takes an AbortSignal."]
  ]
  for (const [options, message] of refused) {
    await t.rejects(listen(app, '/events', options), { code: 'PYLON_SSE_ERR_INVALID_OPTION', message })
  }
  await t.rejects(listen(app, 'events'), { message: "Option 'path' got 'events'; it takes a path such as '/events'." })
  await t.rejects(listen(app, 7 as never), { message: "Option 'path' got 7; it takes a path such as '/events'." })
  await t.rejects(listen(app, null as never), { message: "Option 'options' got null; it takes an object." })
  const target = "it takes a Fastify app, or a URL such as 'http://127.0.0.1:3000'."
  await t.rejects(listen('/events'), { message: `Option 'target' got '/events'; ${target}` })
  await t.rejects(listen(null as never), { message: `Option 'target' got null; ${target}` })
  await t.rejects(listen({} as never), { message: `Option 'target' got an object; ${target}` })
  await t.rejects(listen('ftp://127.0.0.1/'), { message: `Option 'target' got 'ftp://127.0.0.1/'; ${target}` })
  await t.rejects(listen('http://127.0.0.1:1/', { transport: 'inject' }), {
    message: "Option 'transport' got 'inject'; it takes 'socket' for a URL; 'inject' takes an app."
  })
  const events = await listen(app)
  await t.rejects(events.next('a', { timeuot: 1 } as never), {
    message: "Option 'options.timeuot' does not exist; did you mean 'options.timeout'?"
  })
  await t.rejects(events.next({ timeout: -1 }), { code: 'PYLON_SSE_ERR_INVALID_OPTION' })
  await t.rejects(events.take(0), { message: "Option 'count' got 0; it takes a whole number from 1." })
  await t.rejects(events.until('a' as never), { message: "Option 'predicate' got 'a'; it takes a function." })
  await t.rejects(events.none('a' as never), { message: "Option 'ms' got 'a'; it takes a whole number from 1." })
  await t.rejects(events.none(1, 2 as never), { message: "Option 'name' got 2; it takes the name of an event." })
})
