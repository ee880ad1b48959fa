import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { request } from 'undici'
import { requireBinary } from '../kit/binary.js'
import { launchChromium } from '../kit/chromium.js'
import type { EventReader } from '../kit/event-reader.js'
import { injectClient } from '../kit/inject-client.js'
import { withTimeout } from '../kit/patience.js'
import { type Served, type ServeOptions, serve } from '../kit/server.js'
import type { StreamRequest } from '../kit/stream-request.js'

const GZIP = { 'accept-encoding': 'gzip' }

type Open = (s: Served, request?: StreamRequest) => Promise<EventReader & { close(): Promise<void> }>

const overHttp1: Open = (s, request) => s.connect(request)
const overHttp2: Open = (s, request) => s.connectH2(request)
const TRANSPORTS: Record<string, { transport?: ServeOptions['transport']; open: Open }> = {
  'HTTP/1.1': { open: overHttp1 },
  HTTPS: { transport: 'https', open: overHttp1 },
  'HTTP/2 with TLS': { transport: 'http2', open: overHttp2 },
  'HTTP/2 in clear text': { transport: 'h2c', open: overHttp2 },
  'HTTP/1.0': { open: (s, request) => s.connect({ ...request, httpVersion: '1.0' }) },
  'a unix socket': { transport: 'unix', open: overHttp1 },
  inject: { open: (s, request) => injectClient(s.app, request) }
}

/** Text of so many bytes that does not repeat itself. */
function noise(size: number): string {
  return Array.from({ length: size }, () => String.fromCharCode(33 + 94 * Math.random())).join('')
}

for (const [name, { transport = 'http', open }] of Object.entries(TRANSPORTS)) {
  t.test(`over ${name} a client that accepts gzip gets what others get, to a proper end`, async (t) => {
    if ((transport === 'https' || transport === 'http2') && !requireBinary(t, 'openssl')) return
    const s = await serve(t, { transport, sse: { compress: true, retry: 10, authorizeTopics: () => true } })
    const { sse } = s.app
    sse.broadcast('before')
    const [epoch] = (await sse.publish('before, too')).split('-')
    const asks = { path: '/events?topic=a', lastEventId: `${epoch}-0` }
    const zipped = await open(s, { ...asks, headers: GZIP })
    const plain = await open(s, asks)
    t.equal(zipped.headers.get('content-encoding'), 'gzip')
    t.equal(plain.headers.get('content-encoding'), null)
    for (const each of [zipped, plain]) {
      t.match(each.headers.get('vary'), /(^|, )accept-encoding$/)
      await each.take(2)
    }

    const [first] = sse.clients
    sse.broadcast('é 1', { event: 'named', id: 'own' })
    sse.broadcast('a topic', { topic: 'a' })
    sse.broadcast('another', { topic: 'b' })
    sse.broadcast('not to all', { except: first!.id })
    for (const each of sse.clients) each.send({ direct: 1 })
    for (const size of [100, 5000, 15_000, 70_000]) sse.broadcastMessage(noise(size))
    for (let i = 0; i < 1000; i++) sse.broadcast(i)
    await zipped.until(({ data }) => data === '999')
    await plain.until(({ data }) => data === '999')
    const closed = s.app.close()
    await zipped.waitForEnd()
    await plain.waitForEnd()
    t.equal(zipped.retries.length, 2, 'the farewell included')
    t.strictSame(
      zipped.events,
      plain.events.filter(({ data }) => data !== '"not to all"')
    )
    t.equal(plain.events.length, zipped.events.length + 1)
    await withTimeout(closed, 'app.close()')
  })
}

t.test('each event can be read as soon as it is sent', async (t) => {
  const s = await serve(t, { sse: { compress: true } })
  const client = await s.connect({ headers: GZIP })
  await client.waitForComment('connected')
  for (const size of [1, 50, 99, 100, 1000, 4096, 16_000, 17_000, 140_000, 1]) {
    const text = noise(size)
    s.app.sse.broadcastMessage(text)
    t.ok((await client.next()).data === text, `${size} bytes`)
    for (const each of s.app.sse.clients) each.send(text)
    t.equal(JSON.parse((await client.next()).data), text, 'sent to it alone')
  }
})

t.test('a compressed stream has keepalives, resyncs and replays', async (t) => {
  const s = await serve(t, { sse: { compress: true, keepAliveInterval: 20, history: { events: 2 } } })
  const client = await s.connect({ headers: GZIP, lastEventId: 'unknown' })
  t.match(await client.next(), { event: 'resync', data: '{"reason":"unknown","missed":null}' })
  await client.waitForComment('keepalive', 3)
  s.app.sse.broadcast(1)
  await client.next()
  await client.close()
  s.app.sse.broadcast(2)
  const resumed = await s.connect({ headers: GZIP, lastEventId: client.lastEventId })
  t.equal((await resumed.next()).data, '2')
  s.app.sse.broadcast(3)
  s.app.sse.broadcast(4)
  const late = await s.connect({ headers: GZIP, lastEventId: client.lastEventId })
  t.match(await late.next(), { event: 'resync', data: '{"reason":"expired","missed":3}' })
})

t.test('curl, fetch and undici read the stream, and find its end in order', async (t) => {
  const s = await serve(t, { sse: { compress: true } })
  const { sse } = s.app
  const [epoch] = (await sse.publish('é'.repeat(500))).split('-')
  const url = `${s.url}/events?lastEventId=${epoch}-0`
  const event = `id: ${epoch}-1\ndata: "${'é'.repeat(500)}"\n\n`
  const expected = new RegExp(`^: connected\nid: ${epoch}-0\nevent: connected\ndata: \\{.*\\}\n\n${event}$`)
  const end = () => {
    for (const client of sse.clients) client.close({ reconnect: true })
  }
  const [viaFetch, viaUndici] = await Promise.all([fetch(url), request(url, { headers: GZIP })])
  t.equal(viaFetch.headers.get('content-encoding'), 'gzip')
  t.equal(viaUndici.headers['content-encoding'], 'gzip')
  end()
  t.match(await viaFetch.text(), expected, 'fetch')
  const zipped = Buffer.from(await viaUndici.body.arrayBuffer())
  t.match(gunzipSync(zipped).toString(), expected, 'undici')
  t.ok(zipped.length < Buffer.byteLength(event) / 3)

  if (!requireBinary(t, 'curl')) return
  const viaCurl = promisify(execFile)('curl', ['-sSN', '--compressed', url])
  viaCurl.child.stdout!.once('data', end)
  t.match((await viaCurl).stdout, expected, 'curl')
})

for (const transport of ['http', 'http2'] as const) {
  t.test(`an EventSource in Chromium hears it over ${transport}, and comes back where it was`, async (t) => {
    if (transport === 'http2' && !requireBinary(t, 'openssl')) return
    const browser = await launchChromium(t)
    if (browser === undefined) return
    const versions: string[] = []
    const s = await serve(t, {
      transport,
      sse: { compress: true, retry: 10, onConnect: (_client, { raw }) => void versions.push(raw.httpVersion) },
      setup: (app) => app.get('/', (_request, reply) => reply.type('text/html').send('<title>page</title>'))
    })
    const page = await browser.newPage({ ignoreHTTPSErrors: true })
    const encodings: (string | undefined)[] = []
    page.on('response', (answer) => {
      if (answer.url().endsWith('/events')) encodings.push(answer.headers()['content-encoding'])
    })
    await page.goto(s.url)
    await page.evaluate(`new Promise((resolve, reject) => {
      heard = []
      const source = new EventSource('/events')
      source.onmessage = ({ data }) => heard.push(data)
      source.onopen = resolve
    })`)
    const long = noise(50_000)
    s.app.sse.broadcast('first')
    await page.waitForFunction('heard.length === 1')
    s.app.sse.broadcastMessage(long)
    await page.waitForFunction('heard.length === 2')
    for (const client of s.app.sse.clients) client.close()
    s.app.sse.broadcast('while away')
    await page.waitForFunction('heard.length === 3')
    t.strictSame(await page.evaluate('heard'), ['"first"', long, '"while away"'])
    t.strictSame(encodings, ['gzip', 'gzip'])
    t.equal(versions[0], transport === 'http' ? '1.1' : '2.0')
  })
}

t.test('a client that does not accept gzip, or prefers identity, gets the stream uncompressed', async (t) => {
  const s = await serve(t, { sse: { compress: true } })
  const accepted: [header: string | undefined, isGzip: boolean][] = [
    [undefined, false],
    ['', false],
    ['identity', false],
    ['gzip;q=0', false],
    ['br', false],
    ['identity, gzip;q=0.5', false],
    ['*;q=0', false],
    ['gzip', true],
    ['gzip, deflate, br, zstd', true],
    ['br;q=1.0, gzip;q=0.2', true],
    ['*', true]
  ]
  for (const [header, isGzip] of accepted) {
    const client = await s.connect({ headers: { 'accept-encoding': header } })
    t.equal(client.headers.get('content-encoding'), isGzip ? 'gzip' : null, header ?? 'none')
    t.match(client.headers.get('vary'), 'accept-encoding')
    await client.waitForComment('connected')
    s.app.sse.broadcast(header ?? 'none')
    t.equal((await client.next()).data, JSON.stringify(header ?? 'none'))
    await client.close()
  }
})

t.test('without the option nobody gets gzip', async (t) => {
  const s = await serve(t)
  const client = await s.connect({ headers: GZIP })
  t.equal(client.headers.get('content-encoding'), null)
  t.notMatch(client.headers.get('vary') ?? '', 'accept-encoding')
})

t.test('responses other than streams are not labelled as compressed', async (t) => {
  const s = await serve(t, { sse: { compress: true, maxClientsPerIp: 1, overLimit: 'status' } })
  const retry = await serve(t, { sse: { compress: true, maxClientsPerIp: 1 } })
  const answers: [what: string, status: number, s: Served, request: StreamRequest][] = [
    ['406', 406, s, { headers: { ...GZIP, accept: 'text/html' } }],
    ['a page', 200, s, { headers: { ...GZIP, accept: 'application/json' } }],
    ['the head of a page', 200, s, { method: 'HEAD', headers: { ...GZIP, accept: 'application/json' } }],
    ['204', 204, s, { headers: GZIP, lastEventId: 'stay-away' }],
    ['429', 429, s, { headers: GZIP }],
    ['a retry instead', 200, retry, { headers: GZIP }]
  ]
  const head = await s.connect({ method: 'HEAD', headers: GZIP })
  t.equal(head.headers.get('content-encoding'), 'gzip', 'the head of a stream is')
  t.equal((await s.connect({ method: 'HEAD' })).headers.get('content-encoding'), null)
  for (const [what, status, served, request] of answers) {
    const isLimit = what === '429' || what === 'a retry instead'
    if (isLimit) await served.connect({ headers: GZIP })
    const answer = await served.connect(request)
    t.equal(answer.status, status, what)
    t.equal(answer.headers.get('content-encoding'), null, what)
    await answer.waitForEnd()
    if (what === 'a retry instead') t.match(answer.body, /^retry: \d+\n$/)
    await answer.close()
  }
})

t.test('Vary keeps what others have set', async (t) => {
  const cors = { origin: ['https://friend.example'] }
  const s = await serve(t, { sse: { compress: true, cors } })
  for (const method of ['GET', 'HEAD']) {
    const client = await s.connect({ method, headers: { ...GZIP, origin: 'https://friend.example' } })
    t.strictSame(client.headers.get('vary')?.toLowerCase().split(/, */), ['origin', 'accept-encoding'], method)
  }
  const several = await serve(t, {
    sse: {
      compress: true,
      cors: false,
      route: { onRequest: async (_request, reply) => void reply.header('vary', ['a', 'b']) }
    }
  })
  t.equal((await several.connect()).headers.get('vary'), 'a, b, accept-encoding')
})

t.test('an error of a hook after admission is sent uncompressed', async (t) => {
  const onSend = async () => {
    throw new Error('the hook failed')
  }
  const s = await serve(t, { sse: { compress: true, route: { onSend } } })
  const client = await s.connect({ headers: GZIP })
  await client.waitForEnd()
  t.equal(client.status, 500)
  t.equal(client.headers.get('content-encoding'), null)
  t.match(JSON.parse(client.body), { message: 'the hook failed' })
})
