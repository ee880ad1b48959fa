import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import fastify from 'fastify'
import t from 'tap'
import { BrokenStreamError, listen, NotReceivedError } from '../../../lib/entries/testing/testing.js'
import { deferred, gate } from '../../kit/deferred.js'
import { withStream } from '../../kit/inject-client.js'

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

t.test('a listener can begin after a last event id', async (t) => {
  const app = await withStream(t)
  app.sse.broadcast(1, { id: 'a' })
  app.sse.broadcast(2, { id: 'b' })
  const events = await listen(app, { lastEventId: 'a' })
  t.equal((await events.next()).data, 2)
  const fresh = await listen(app, { headers: { 'last-event-id': 'unheard-of' } })
  t.match(await fresh.next('resync'), { data: { reason: 'unknown', missed: null } })
})

t.test('bytes that are not an event stream fail every wait', async (t) => {
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

t.test('a signal closes the connection, and fails pending waits', async (t) => {
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
    const events = await listen(app, { transport })
    await events.cut()
    const resumed = events.resume()
    events.stall()
    await resumed
    await new Promise(setImmediate)
    const { length } = events.all
    app.sse.broadcast(1)
    await t.rejects(events.next({ timeout: 20 }), NotReceivedError)
    t.equal(events.all.length, length)
    await events.resume()
    t.equal((await events.next()).data, 1)
  }
})
