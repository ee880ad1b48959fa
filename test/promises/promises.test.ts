import { once } from 'node:events'
import net from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { DisconnectReason, SseClient } from '../../lib/index.js'
import { Connections } from '../kit/connections.js'
import { type Gate, gate } from '../kit/deferred.js'
import type { EventReader, SseEvent } from '../kit/event-reader.js'
import { injectClient } from '../kit/inject-client.js'
import { accountFor, broadcastNumbers, broadcastPaced, numberedText, numberOf, readUpTo } from '../kit/numbered.js'
import { type Served, serve } from '../kit/server.js'
import { KERNEL_HOLDS, stuckClient } from '../kit/slow-reader.js'

const KIB = 1024
/** So many events of 64 KiB make a client stuck that does not read, over a unix socket. */
const FILL = KERNEL_HOLDS.unix / (64 * KIB) + 5

/** An app in which `POST /say` broadcasts. */
function talkative(app: FastifyInstance): void {
  app.post('/say', async ({ body }) => ({ id: await app.sse.publish(body) }))
}

async function say(served: Served, body: unknown): Promise<string> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${served.url}/say`, { method: 'POST', headers, body: JSON.stringify(body) })
  return ((await response.json()) as { id: string }).id
}

function placeOf(id: string | undefined): number {
  return Number(id?.split('-')[1])
}

t.test('1. Order: every client sees events in log order', async (t) => {
  const served = await serve(t, { setup: talkative })
  const [reader, faltering] = [await served.connect(), await served.connect()]
  const told: [id: string, speaker: number, n: number][] = []
  const speak = async (speaker: number) => {
    for (let n = 0; n < 40; n++) told.push([await say(served, { speaker, n }), speaker, n])
  }
  const speaking = Promise.all([speak(1), speak(2), speak(3)])
  const first = await reader.next()
  faltering.pause()
  const resumed = await served.connect({ lastEventId: first.id! })
  await reader.take(30)
  const late = await served.connect()
  faltering.resume()
  await speaking
  const last = await served.app.sse.publish('last')
  for (const client of [reader, faltering, resumed, late]) await client.until(({ id }) => id === last)

  told.sort(([a], [b]) => placeOf(a) - placeOf(b))
  const log = told.map(([id, speaker, n]) => ({ id, event: undefined, data: JSON.stringify({ speaker, n }) }))
  log.push({ id: last, event: undefined, data: '"last"' })
  t.strictSame(
    log.map(({ id }) => placeOf(id)),
    Array.from(log, (_, i) => i + 1),
    'ids are places in the log'
  )
  t.strictSame(reader.events, log)
  t.strictSame(faltering.events, log)
  t.strictSame(resumed.events, log.slice(placeOf(first.id)))
  t.strictSame(late.events, log.slice(placeOf(late.ids[0])))
})

t.test('2. Once: no client sees an event twice, however often it is cut off and comes back', async (t) => {
  const served = await serve(t, { setup: talkative })
  const LAST = 400
  const wander = async (stay: number): Promise<SseEvent[]> => {
    const seen: SseEvent[] = []
    let lastEventId = ''
    while (numberOf(seen.at(-1) ?? { id: '', event: '', data: '0' }) < LAST) {
      const client = await served.connect({ lastEventId })
      await client.waitForId()
      if (seen.length + stay < LAST) await client.take(stay)
      else await readUpTo(client, LAST)
      await client.abort()
      seen.push(...client.events)
      lastEventId = client.lastEventId
    }
    return seen
  }
  const cursor = await served.connect()
  await cursor.waitForId()
  const wandering = Promise.all([1, 3, 10].map(wander))
  while (served.app.sse.clientCount < 4) await turn()
  for (let n = 1; n <= LAST; n++) {
    served.app.sse.broadcastMessage(numberedText(n), n % 7 === 0 ? { id: `own ${n}` } : {})
    await turn()
  }
  for (const seen of await wandering) {
    t.equal(new Set(seen.map(({ id }) => id)).size, seen.length)
    const first = numberOf(seen[0]!)
    t.strictSame(accountFor(seen, first - 1), { last: LAST, missed: 0, resyncs: [] }, 'nor does it miss one')
  }
})

t.test('3. No silent gap: what a client does not get, it is told of in its place', async (t) => {
  const sse = { history: { events: 30 }, queueDepth: 30 }
  const served = await serve(t, { transport: 'unix', setup: talkative, sse })
  const { app } = served
  const reader = await served.connect()
  const gone = await served.connect()
  const slow = await stuckClient(served)
  const slower = await stuckClient(served)
  await gone.waitForId()
  await gone.abort()

  broadcastNumbers(app, 1, FILL, 64 * KIB)
  await readUpTo(reader, FILL)
  await broadcastPaced(app, reader, FILL + 1, 100)
  slow.resume()
  await readUpTo(slow, 100)
  const returned = await served.connect({ lastEventId: gone.lastEventId })
  const stranger = await served.connect({ lastEventId: 'of another server' })
  await broadcastPaced(app, reader, 101, 150)
  slower.resume()

  for (const client of [slow, slower, returned, stranger]) await readUpTo(client, 150)
  t.strictSame(accountFor(reader.events), { last: 150, missed: 0, resyncs: [] })
  for (const client of [slow, slower]) {
    const { last, resyncs } = accountFor(client.events)
    t.equal(last, 150)
    t.match(resyncs, [{ reason: 'overflow' }])
  }
  t.strictSame(accountFor(returned.events), {
    last: 150,
    missed: 100,
    resyncs: [{ reason: 'expired', missed: 100 }]
  })
  t.match(stranger.events[0], { event: 'resync', data: '{"reason":"unknown","missed":null}' })
  t.strictSame(accountFor(stranger.events.slice(1), 100), { last: 150, missed: 0, resyncs: [] })
})

t.test('4. Bounded: neither slow clients nor long histories hold more than they may', async (t) => {
  let connections!: Connections
  const setup = (app: FastifyInstance) => {
    connections = new Connections(app)
  }
  const sse = { history: { events: 100, bytes: 200 * KIB } }
  const served = await serve(t, { transport: 'unix', setup, sse })
  const cursor = await (await served.connect()).waitForId()
  const slow = await Promise.all(Array.from({ length: 10 }, () => stuckClient(served)))
  let most = 0
  for (let n = 1; n <= 1000; n++) {
    broadcastNumbers(served.app, n, n, n % 100 === 0 ? 100 * KIB : 4 * KIB)
    for (const client of served.app.sse.clients) client.send(n)
    await turn()
    for (const { writableLength } of connections.sockets) most = Math.max(most, writableLength)
  }
  t.ok(most > 0, 'they are stuck')
  t.ok(most < 64 * KIB + 101 * KIB, `${most} bytes wait for a client: a chunk and an event at most`)
  const late = await served.connect({ lastEventId: cursor })
  const resumed = await served.connect({ lastEventId: cursor.replace(/0$/, '900') })
  served.app.sse.broadcast('last')
  for (const client of [late, resumed]) {
    await client.until(({ data }) => data === '"last"')
    t.equal(client.events[0]?.event, 'resync')
    t.ok(Buffer.byteLength(client.body) < 201 * KIB)
  }
  await Promise.all(slow.map((client) => client.abort()))
})

t.test('5. Isolated: slow, stuck and hostile clients delay nobody else', async (t) => {
  const served = await serve(t, { setup: talkative, sse: { shards: 2, maxClientsPerIp: 10 } })
  const readers = [await served.connect(), await served.connect()]
  const hostile = { localAddress: '127.0.0.66' }
  const sockets = Array.from({ length: 4 }, () => net.connect({ port: served.port!, host: '127.0.0.1', ...hostile }))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (const socket of sockets) socket.on('error', () => {})
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  const [garbage, unfinished, oversized, flood] = sockets
  const request = 'GET /events HTTP/1.1\r\nhost: x\r\n\r\n'
  garbage!.write(`${request}no request at all\r\n\r\n`)
  unfinished!.write('GET /events HTTP/1.1\r\nhost:')
  oversized!.write(`GET /events HTTP/1.1\r\nlast-event-id: ${'x'.repeat(100 * KIB)}\r\n\r\n`)
  flood!.write(request.repeat(1000))
  const lame = { localAddress: '127.0.0.67' }
  await Promise.all([
    served.connect({ ...lame, stuckBefore: 'head' }),
    stuckClient(served, lame),
    stuckClient(served, lame),
    served.connect(lame).then((client) => client.endRequests())
  ])
  // Behind them in their shards.
  readers.push(await served.connect(), await served.connect())
  let n = 0
  const everybodyElseIsServed = async (bytes: number) => {
    for (const end = n + 20; n < end; ) {
      broadcastNumbers(served.app, ++n, n, bytes)
      for (const reader of readers) await readUpTo(reader, n)
    }
    n++
    t.equal(placeOf(await say(served, n)), n, 'and so are other routes')
    for (const reader of readers) await readUpTo(reader, n)
  }
  await everybodyElseIsServed(0)
  await everybodyElseIsServed(KERNEL_HOLDS.tcp / 20)
  const storm = Array.from({ length: 20 }, () => served.connect({ ...hostile, waitForHead: false }))
  const storming = Promise.all(storm.map(async (client) => (await client).abort()))
  await everybodyElseIsServed(0)
  await storming
  for (const reader of readers) t.strictSame(accountFor(reader.events), { last: n, missed: 0, resyncs: [] })
})

t.test('6. Exactly one release: a slot is given back once, by whichever way a client goes', async (t) => {
  const left: DisconnectReason[] = []
  let hold: Gate = gate()
  const waiting = async (request: { headers: Record<string, unknown> }, at: string) => {
    if (request.headers['x-wait'] === at) await hold.pass()
    if (request.headers['x-fail'] === at) throw new Error('no')
  }
  const setup = (app: FastifyInstance) => {
    connections = new Connections(app)
  }
  let connections!: Connections
  const served = await serve(t, {
    setup,
    sse: {
      maxClientsPerIp: 2,
      overLimit: 'status',
      route: {
        preHandler: (request) => waiting(request, 'preHandler'),
        onSend: async (request, _reply, payload) => {
          await waiting(request, 'onSend')
          return payload
        }
      },
      onConnect: async (client, request) => {
        await waiting(request, 'onConnect')
        if (request.headers['x-close']) client.close()
      },
      onDisconnect: (_client, reason) => void left.push(reason)
    }
  })
  const visit = async (headers: Record<string, string>) => {
    const client = await served.connect({ headers })
    await client.waitForEnd()
    await client.close()
  }
  const abortAt = async (at: string) => {
    hold = gate()
    const client = await served.connect({ headers: { 'x-wait': at }, waitForHead: at === 'onConnect' })
    await hold.reached
    await client.abort()
    await connections.waitForNumber(0)
    hold.open()
  }
  const ways: [way: string, go: () => Promise<void>][] = [
    ['it is refused by a hook', () => visit({ 'x-fail': 'preHandler' })],
    ['a hook fails when it has been let in', () => visit({ 'x-fail': 'onSend' })],
    ['onConnect fails', () => visit({ 'x-fail': 'onConnect' })],
    ['the app closes it', () => visit({ 'x-close': '1' })],
    ['it accepts no stream', () => visit({ accept: 'text/html' })],
    ['it aborts before it is let in', () => abortAt('preHandler')],
    ['it aborts before its head', () => abortAt('onSend')],
    ['it aborts while onConnect runs', () => abortAt('onConnect')],
    ['it leaves', async () => (await served.connect()).close()],
    ['it is killed', async () => (await served.connect()).abort().then(() => {})],
    ['it asks for the head alone', async () => (await served.connect({ method: 'HEAD' })).close()]
  ]
  for (const [way, go] of ways) {
    // Three times, so that two slots would be lost, or a third be won.
    for (let i = 0; i < 3; i++) {
      await go()
      await connections.waitForNumber(0)
    }
    const clients = [await served.connect(), await served.connect(), await served.connect()]
    t.strictSame(
      clients.map(({ status }) => status),
      [200, 200, 429],
      way
    )
    await Promise.all(clients.map((client) => client.close()))
    await connections.waitForNumber(0)
  }
  t.equal(left.length, served.app.sse.stats().accepted)
})

t.test('7. Closing ends: every stream, and the server, whatever the clients are doing', async (t) => {
  // Those of other tests are of another kind.
  const resources = () => process.getActiveResourcesInfo().filter((kind) => kind.startsWith('Pipe'))
  const before = resources()
  const holds = { preHandler: gate(), onConnect: gate() }
  const left: [SseClient, DisconnectReason][] = []
  const hold = async ({ headers }: { headers: Record<string, unknown> }, at: keyof typeof holds) => {
    if (headers['x-wait'] === at) await holds[at].pass()
  }
  const served = await serve(t, {
    transport: 'unix',
    sse: {
      retry: 1000,
      route: { preHandler: (request) => hold(request, 'preHandler') },
      onConnect: (_client, request) => hold(request, 'onConnect'),
      onDisconnect: (...departure) => void left.push(departure)
    }
  })
  const { app } = served
  const slow = await Promise.all([stuckClient(served), stuckClient(served)])
  const readers = await Promise.all(Array.from({ length: 30 }, () => served.connect()))
  const greeted = await served.connect({ headers: { 'x-wait': 'onConnect' } })
  const early = await served.connect({ headers: { 'x-wait': 'preHandler' }, waitForHead: false })
  const idle = await served.connect({ path: '/nothing' })
  await Promise.all([holds.onConnect.reached, holds.preHandler.reached])
  broadcastNumbers(app, 1, FILL, 64 * KIB)
  await Promise.all(readers.map((reader) => readUpTo(reader, FILL)))

  const closing = app.close()
  await readers[0]!.waitForEnd()
  app.sse.broadcast('nobody is told')
  holds.preHandler.open()
  await early.head()
  await early.waitForEnd()
  t.match(early.body, /^retry: \d+\n+$/, 'who comes now is told to come back')
  await closing
  for (const client of [...readers, greeted]) {
    await client.waitForEnd()
    t.ok(client.retries.at(-1)! >= 1000 && client.retries.at(-1)! <= 2000, 'told when to come back')
  }
  for (const reader of readers) t.equal(accountFor(reader.events).last, FILL)
  t.ok(new Set(readers.map(({ retries }) => retries.at(-1))).size > 20, 'not all at once')
  for (const client of slow) client.resume()
  await Promise.all([...slow, ...readers, greeted, early, idle].map((client) => client.waitForClose()))
  t.strictSame(
    left.map(([, reason]) => reason),
    new Array(33).fill('shutdown')
  )
  holds.onConnect.open()
  await turn()
  t.strictSame(resources(), before, 'nothing is left')
})

t.test("8. Never another's bytes: frames go into their own response alone", async (t) => {
  const slowly = [gate(), gate()]
  const setup = (app: FastifyInstance) => {
    app.get<{ Params: { n: string } }>('/slow/:n', async ({ params }) =>
      slowly[Number(params.n)]!.pass().then(() => 'slow')
    )
    app.get('/plain', async () => 'plain')
  }
  const served = await serve(t, { setup, sse: { maxClientsPerIp: false } })
  const { app } = served
  let n = 0
  let talking = true
  const talk = (async () => {
    while (talking) {
      broadcastNumbers(app, ++n, n)
      await turn()
    }
  })()

  const plain = { path: '/plain' }
  const behind = await served.connect({ before: [{ path: '/slow/0' }], waitForHead: false })
  const between = await served.connect({ before: [plain, plain], waitForHead: false })
  const headed = await served.connect({ before: [{ method: 'HEAD' }, plain, { method: 'HEAD' }], waitForHead: false })
  const old = await served.connect({ httpVersion: '1.0' })
  const simulated = await injectClient(app)
  const left = await served.connect({ before: [{ path: '/slow/1' }], waitForHead: false })
  await Promise.all(slowly.map(({ reached }) => reached))
  await left.abort()
  for (const { open } of slowly) open()
  const streams: EventReader[] = [behind, between, headed, old, simulated]
  await Promise.all(streams.map((stream) => stream.take(50)))

  // A connection outlives its stream: what comes on it next is no stream.
  for (const client of app.sse.clients) client.close()
  await Promise.all(streams.map((stream) => stream.waitForEnd()))
  const answers: EventReader[] = []
  for (const client of [behind, between, headed]) {
    for (let i = 0; i < 5; i++) {
      const answer = client.request(plain)
      answers.push(answer)
      await answer.waitForEnd()
    }
  }
  talking = false
  await talk

  for (const stream of streams) {
    const first = placeOf(stream.ids[0])
    t.ok(accountFor(stream.events, first).last >= first + 50)
    t.equal(stream.failure, undefined)
  }
  t.strictSame(
    answers.map(({ body }) => body),
    new Array(15).fill('plain')
  )
  t.strictSame(
    [behind, between, headed].map(({ pipelined }) => pipelined.slice(0, -5).map(({ body }) => body)),
    [['slow'], ['plain', 'plain'], ['', 'plain', '']]
  )
})

t.test('9. No injection: no data, name or id forges a field or a frame', async (t) => {
  const served = await serve(t, { setup: talkative })
  const { app } = served
  const clients = [
    await served.connect(),
    await served.connect({ httpVersion: '1.0' }),
    await injectClient(app),
    await served.connect({ query: { lastEventId: 'x\n\nevent: forged\ndata: 1\n\n' } })
  ]
  const forgeries = [
    '\n\ndata: forged\n\n',
    '\r\rid: forged\r\r',
    '\r\n\r\nevent: forged\r\ndata: forged\r\n\r\n',
    'retry: 1',
    ': forged',
    '\nretry: 1\n\n: forged\n\n',
    '\0\n\n',
    '0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
    '\ufeffdata: forged\u2028data: forged\u0085data: forged',
    'data: forged',
    ' '
  ]
  const expected: { event: string | undefined; data: string }[] = []
  /** Events of text, before each of which a comment says that it is text. */
  let texts = 0
  let refused = 0
  const attempt = (event: string | undefined, data: string, broadcast: () => void, isText = false) => {
    try {
      broadcast()
      expected.push({ event, data })
      if (isText) texts++
    } catch (error) {
      t.match(error, { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
      refused++
    }
  }
  for (const text of forgeries) {
    const lines = text.replace(/\r\n?/g, '\n')
    attempt(undefined, lines, () => app.sse.broadcastMessage(text), true)
    attempt(undefined, JSON.stringify(text), () => app.sse.broadcast(text))
    attempt(text, '1', () => app.sse.broadcast(1, { event: text }))
    attempt(undefined, '2', () => app.sse.broadcast(2, { id: text }))
    attempt(text, lines, () => app.sse.broadcastMessage(text, { event: text, id: `${text}!` }), true)
  }
  await say(served, forgeries)
  expected.push({ event: undefined, data: JSON.stringify(forgeries) })
  for (const client of clients) {
    await client.until(({ data }) => data === expected.at(-1)!.data)
    const events = client === clients[3] ? client.events.slice(1) : client.events
    t.strictSame(
      events.map(({ event, data }) => ({ event, data })),
      expected
    )
    t.strictSame([client.comments, client.retries], [['connected', ...Array(texts).fill('text')], []])
  }
  t.match(clients[3]!.events[0], { event: 'resync', data: '{"reason":"unknown","missed":null}' })
  t.ok(refused > 10 && expected.length > 30, 'some are refused, some are harmless')
})
