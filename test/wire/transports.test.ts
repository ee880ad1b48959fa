import { once } from 'node:events'
import net from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import t from 'tap'
import { requireBinary } from '../kit/binary.js'
import { deferred } from '../kit/deferred.js'
import type { EventReader } from '../kit/event-reader.js'
import { greetingOf } from '../kit/greeting.js'
import { injectClient } from '../kit/inject-client.js'
import { withTimeout } from '../kit/patience.js'
import { type Served, type ServeOptions, serve } from '../kit/server.js'
import type { StreamRequest } from '../kit/stream-request.js'

interface Transport {
  options: ServeOptions
  open(s: Served, request?: StreamRequest): Promise<EventReader & { close(): Promise<void> }>
}

const overHttp1: Transport['open'] = (s, request) => s.connect(request)
const overHttp2: Transport['open'] = (s, request) => s.connectH2(request)

const TRANSPORTS: Record<string, Transport> = {
  'HTTP/1.1': { options: {}, open: overHttp1 },
  HTTPS: { options: { transport: 'https' }, open: overHttp1 },
  'HTTP/2 with TLS': { options: { transport: 'http2' }, open: overHttp2 },
  'HTTP/2 in clear text': { options: { transport: 'h2c' }, open: overHttp2 },
  'HTTP/1.1 from a server of HTTP/2': { options: { transport: 'http2' }, open: overHttp1 },
  'HTTP/1.0': { options: {}, open: (s, request) => s.connect({ ...request, httpVersion: '1.0' }) },
  'a unix socket': { options: { transport: 'unix' }, open: overHttp1 },
  inject: { options: {}, open: (s, request) => injectClient(s.app, request) },
  'a response whose write is wrapped': { options: { setup: (app) => wrapWrites(app, (text) => text) }, open: overHttp1 }
}

/** As middleware does that counts, signs or compresses. */
function wrapWrites(app: FastifyInstance, change: (text: string) => string): void {
  app.addHook('onRequest', async (_request, { raw }) => {
    const write = raw.write.bind(raw) as (bytes: Buffer) => boolean
    raw.write = (bytes: Buffer | string) => write(Buffer.from(change(bytes.toString())))
  })
}

function canServe(t: Test, { transport }: ServeOptions): boolean {
  const isTls = transport === 'https' || transport === 'http2'
  return !isTls || requireBinary(t, 'openssl') !== undefined
}

for (const [transport, { options, open }] of Object.entries(TRANSPORTS)) {
  t.test(`over ${transport} a client gets events, resumes from the last, and comes to a clean end`, async (t) => {
    if (!canServe(t, options)) return
    const s = await serve(t, { ...options, sse: { retry: 10, maxClientsPerIp: 2 } })
    const { sse } = s.app
    const first = await open(s)
    t.equal(first.status, 200)
    await first.waitForComment('connected')
    sse.broadcast({ n: 1 }, { event: 'order', id: 'order 1' })
    t.strictSame(await first.next(), { id: 'order 1', event: 'order', data: '{"n":1}' })
    await first.close()

    sse.broadcastMessage('while it\nwas away')
    sse.broadcast('€ 2')
    const second = await open(s, { lastEventId: first.lastEventId })
    sse.broadcast('live')
    const texts = (await second.take(3)).map(({ data }) => data)
    t.strictSame(texts, ['while it\nwas away', '"€ 2"', '"live"'])
    const closed = s.app.close()
    await second.waitForEnd()
    const [epoch] = second.lastEventId.split('-')
    t.equal(
      second.body,
      greetingOf(second, `${epoch}-1`, 10) +
        `: text\nid: ${epoch}-2\ndata: while it\ndata: was away\n\n` +
        `id: ${epoch}-3\ndata: "€ 2"\n\n` +
        `id: ${epoch}-4\ndata: "live"\n\n` +
        `retry: ${second.retries[1]}\n`
    )
    await withTimeout(closed, 'app.close()')
    await second.close()
  })

  t.test(`over ${transport} an event of 1 MiB and a burst of thousands arrive whole and in order`, async (t) => {
    if (!canServe(t, options)) return
    const s = await serve(t, options)
    const client = await open(s)
    const large = 'é12345678\n'.repeat(2 ** 20 / 11)
    s.app.sse.broadcastMessage(large)
    const count = 5000
    for (let i = 0; i < count; i++) s.app.sse.broadcast(i)
    t.ok((await client.next()).data === large, 'the large event, unchanged')
    const events = await client.take(count)
    t.ok(
      events.every(({ data }, i) => data === String(i)),
      'the burst, in order'
    )
    const [epoch] = client.lastEventId.split('-')
    t.ok(
      events.every(({ id }, i) => id === `${epoch}-${i + 2}`),
      'each with its id'
    )
  })
}

t.test('a plugin that wraps the write of a response sees every byte of the stream', async (t) => {
  for (const transport of ['http', 'h2c'] as const) {
    let seen = ''
    const see = (text: string) => {
      seen += text
      return text.replace('an event', 'AN EVENT')
    }
    const s = await serve(t, { transport, sse: { keepAliveInterval: 50 }, setup: (app) => wrapWrites(app, see) })
    const client = await (transport === 'http' ? s.connect() : s.connectH2())
    await client.waitForComment('keepalive')
    s.app.sse.broadcast('an event')
    t.equal((await client.next()).data, '"AN EVENT"', `${transport}: and may change it`)
    const closed = s.app.close()
    await client.waitForEnd()
    t.equal(client.body, seen.replace('an event', 'AN EVENT'), transport)
    await withTimeout(closed, 'app.close()')
  }
})

t.test('a client that leaves is noticed, even if it has sent more than is read', async (t) => {
  const gone = deferred()
  const s = await serve(t, { sse: { keepAliveInterval: 0, onDisconnect: () => gone.resolve() } })
  const socket = net.connect(s.port!, '127.0.0.1')
  const body = 'x'.repeat(300_000)
  socket.write(`GET /events HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  await withTimeout(once(socket, 'data'), 'the head')
  t.equal(s.app.sse.clientCount, 1)
  socket.destroy()
  await withTimeout(gone.promise, 'onDisconnect')
  t.equal(s.app.sse.clientCount, 0)
})
