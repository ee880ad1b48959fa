import t, { type Test } from 'tap'
import { placeOfUrl } from '../../../lib/entries/testing/target.js'
import { type ListenOptions, listen } from '../../../lib/entries/testing/testing.js'
import { requireBinary } from '../../kit/binary.js'
import { withStream } from '../../kit/inject-client.js'
import { type ServeOptions, serve } from '../../kit/server.js'

interface Way {
  transport: NonNullable<ServeOptions['transport']>
  options?: ListenOptions
  httpVersion: string
}

const WAYS: Record<string, Way> = {
  inject: { transport: 'http', options: { transport: 'inject' }, httpVersion: '1.1' },
  'HTTP/1.1': { transport: 'http', httpVersion: '1.1' },
  HTTPS: { transport: 'https', httpVersion: '1.1' },
  'HTTP/2': { transport: 'http2', httpVersion: '2.0' },
  'HTTP/2 in clear text': { transport: 'h2c', httpVersion: '2.0' },
  'a unix socket': { transport: 'unix', httpVersion: '1.1' }
}

/** An app that listens, and the versions of HTTP by which it was asked for streams. */
async function served(t: Test, { transport }: Way) {
  const versions: string[] = []
  const { app } = await serve(t, {
    transport,
    sse: {
      retry: 10,
      compress: true,
      history: { events: 100_000, bytes: 2 ** 26 },
      authorizeTopics: (_, topics) => topics
    },
    setup: (app) => app.addHook('onRequest', async ({ raw }) => void versions.push(raw.httpVersion))
  })
  return { app, versions }
}

for (const [name, way] of Object.entries(WAYS)) {
  const isTls = way.transport === 'https' || way.transport === 'http2'
  const test = (title: string, run: (t: Test) => Promise<void>) =>
    t.test(`over ${name}: ${title}`, async (t) => {
      if (!isTls || requireBinary(t, 'openssl')) await run(t)
    })

  test('events come in order, with their topics, and data as they were broadcast', async (t) => {
    const { app, versions } = await served(t, way)
    const events = await listen(app, '/events', { topics: ['a', 'b'], ...way.options })
    t.match(events.response.headers.get('content-type'), 'text/event-stream')
    t.equal(events.response.status, 200)
    const { client } = await events.connected()
    t.strictSame(
      [...app.sse.clients].map(({ id }) => id),
      [client]
    )
    app.sse.broadcast({ n: 1 }, { event: 'one', topic: 'a', id: 'x' })
    app.sse.broadcastMessage('2')
    app.sse.broadcast(3, { event: 'three', topic: 'c' })
    app.sse.broadcast([4], { topic: 'b', id: 'y' })
    t.strictSame(await events.next(), { event: 'one', data: { n: 1 }, id: 'x', topic: 'a' })
    t.match(await events.next(), { event: 'message', data: '2', topic: undefined })
    t.strictSame(await events.next(), { event: 'message', data: [4], id: 'y', topic: 'b' })
    t.equal(events.all.length, 3)
    t.equal(events.lastEventId, 'y')
    t.equal(events.retry, 10)
    t.strictSame(events.comments.slice(0, 2), ['connected', 'topic a'])
    t.strictSame(versions, [way.httpVersion])
    t.notOk(events.ended)
    const end = events.end()
    await app.close()
    await end
    t.ok(events.ended)
  })

  test('a listener that is cut off resumes from its last event, and the app notices both', async (t) => {
    const { app } = await served(t, way)
    const events = await listen(app, { ...way.options })
    app.sse.broadcast(1)
    await events.next()
    const { client } = await events.connected()
    await events.cut()
    // A unix socket has no port by which the server's side could be told.
    if (way.transport === 'unix') while (app.sse.clientCount > 0) await new Promise(setImmediate)
    t.equal(app.sse.clientCount, 0)
    app.sse.broadcast(2)
    app.sse.broadcast(3)
    await events.resume()
    t.equal((await events.next()).data, 2)
    t.equal((await events.next()).data, 3)
    t.not((await events.connected()).client, client)
    await events.none(1)
    await events.close()
    if (way.transport === 'unix') while (app.sse.clientCount > 0) await new Promise(setImmediate)
    t.equal(app.sse.clientCount, 0)
    await t.rejects(events.resume(), { message: 'The listener is closed; call listen() again.' })
  })

  test('a listener that stalls causes backpressure, and reads on without a gap', async (t) => {
    const { app } = await served(t, way)
    const events = await listen(app, { ...way.options })
    events.stall()
    let n = 0
    // Until the client falls behind: whatever lies between is full.
    while (app.sse.stats().slowestLag < 50) {
      if (n === 3_000) throw new Error('the client does not fall behind')
      app.sse.broadcastMessage(`${n++} ${'x'.repeat(10_000)}`)
      await new Promise(setImmediate)
    }
    t.ok(events.all.length < n - 50)
    await events.resume()
    for (let i = 0; i < n; i++) t.match((await events.next()).data.slice(0, 6), `${i} `)
  })

  test('a gzip response is decoded', async (t) => {
    const { app } = await served(t, way)
    const events = await listen(app, { headers: { 'Accept-Encoding': 'gzip' }, ...way.options })
    t.equal(events.response.headers.get('content-encoding'), 'gzip')
    app.sse.broadcast('é'.repeat(1_000))
    t.equal((await events.next()).data, 'é'.repeat(1_000))
    await app.close()
    await events.end()
  })

  test('a response that is not a stream can be read, and every wait reports it', async (t) => {
    const { app } = await served(t, way)
    const { response } = await listen(app, '/nowhere?a=b', { query: { c: 'd' }, ...way.options })
    t.equal(response.status, 404)
    t.match(await response.json(), { message: 'Route GET:/nowhere?a=b&c=d not found' })
    t.match(await response.text(), 'Not Found')
    const other = await listen(app, '/nowhere', { ...way.options })
    const message =
      /^Waited for the event 'x', but it can come no more. The answer is no event stream: 404, application\/json; charset=utf-8: {"message":"Route GET:\/nowhere not found"/
    await t.rejects(other.next('x'), { code: 'PYLON_SSE_ERR_NOT_RECEIVED', message })
    await t.rejects(other.none(1_000), { message: /^Waited for 1000 ms for no event, but/ })
  })

  test('any route may answer with a stream, also to a body', async (t) => {
    const { app } = await serve(t, {
      transport: way.transport,
      sse: { path: false },
      setup: (app) => {
        app.post('/ask', (request, reply) => {
          app.sse.stream(request, reply, { topics: ['answer'] })
          app.sse.broadcast({ body: request.body, by: request.headers['x-by'] }, { topic: 'answer' })
        })
      }
    })
    const options = { method: 'POST', body: { question: 'why?' }, headers: { 'x-by': 'ann' }, ...way.options }
    t.strictSame((await (await listen(app, '/ask', options)).next()).data, { body: { question: 'why?' }, by: 'ann' })
    const text = {
      ...options,
      body: 'why?',
      headers: { 'content-type': 'text/plain', 'x-by': ['ann', 'bob'], accept: undefined }
    }
    t.strictSame((await (await listen(app, '/ask', text)).next()).data, { body: 'why?', by: 'ann, bob' })
  })
}

t.test("an app that does not listen is tested by inject, and made to listen for transport: 'socket'", async (t) => {
  const app = await withStream(t)
  const injected = await listen(app, '/events', { ip: '10.1.2.3' })
  t.notOk(app.server.listening)
  t.strictSame(
    [...app.sse.clients].map(({ ip }) => ip),
    ['10.1.2.3']
  )
  const connected = await listen(app, { transport: 'socket' })
  t.ok(app.server.listening)
  app.sse.broadcast(1)
  for (const events of [injected, connected]) t.equal((await events.next()).data, 1)
})

t.test(
  'over a socket the client has the address that the option ip asks for',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const app = await withStream(t)
    await listen(app, { transport: 'socket', ip: '127.0.0.2' })
    t.strictSame(
      [...app.sse.clients].map(({ ip }) => ip),
      ['127.0.0.2']
    )
  }
)

t.test('a server that listens on all addresses, or on that of IPv6, is found', async (t) => {
  for (const host of ['0.0.0.0', '::', '::1']) {
    const app = await withStream(t)
    await app.listen({ host, port: 0 })
    t.equal((await listen(app)).response.status, 200, host)
  }
})

t.test('a server can be given by its URL, with or without a path', async (t) => {
  const { url, app } = await serve(t)
  for (const events of [
    await listen(url, '/events'),
    await listen(`${url}/events?a=b`),
    await listen(new URL('/events', url))
  ]) {
    app.sse.broadcast(1)
    t.equal((await events.next()).data, 1)
    await events.close()
  }
})

t.test('a URL without a port has that of its protocol', async (t) => {
  t.match(placeOfUrl(new URL('http://example.com/a')), { host: 'example.com', port: 80, isTls: false })
  t.match(placeOfUrl(new URL('https://[::1]/a')), { host: '::1', port: 443, isTls: true })
})

t.test('a server with TLS can be given by its URL and its certificate', async (t) => {
  if (!requireBinary(t, 'openssl')) return
  const { url, ca, app } = await serve(t, { transport: 'https' })
  const events = await listen(url, '/events', { ca: ca! })
  app.sse.broadcast(1)
  t.equal((await events.next()).data, 1)
  t.match((await listen(url.replace('127.0.0.1', 'localhost'), '/events', { ca: ca! })).response.status, 200)
  await t.rejects(listen(url, '/events'), { message: /no answer, and was lost \(self-signed certificate\)/ })
  await t.rejects(listen(app, { ca: 'another' }), { code: 'PYLON_SSE_ERR_NOT_RECEIVED' })
})

t.test('listen rejects if there is no response, and says why', async (t) => {
  const { url, app } = await serve(t, {
    sse: false,
    setup: (app) => {
      app.get('/never', () => new Promise(() => {}))
      app.get('/cut', (request) => void request.raw.socket.destroy())
    }
  })
  const before = 'Waited for the head of an answer, but it can come no more. There is no answer, and was lost'
  await t.rejects(listen(url, '/cut'), { message: `${before} (socket hang up).` })
  await t.rejects(listen(url, '/cut', { headers: { a: 'a\nb' } }), {
    message: `${before} (Invalid character in header content ["a"]).`
  })
  for (const transport of ['inject', 'socket'] as const) {
    await t.rejects(listen(app, '/never', { timeout: 30, transport }), {
      message: 'Waited 30 ms for the head of an answer. There is no answer.'
    })
  }
  const { port } = app.server.address() as { port: number }
  await app.close()
  await t.rejects(listen(`http://127.0.0.1:${port}/`), { message: /was lost \(connect ECONNREFUSED/ })
  await t.rejects(listen(app), { message: /closed/ })
})
