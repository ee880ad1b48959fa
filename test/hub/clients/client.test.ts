import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { DisconnectReason, PylonSseOptions, SseClient } from '../../../lib/index.js'
import { Connections } from '../../kit/connections.js'
import { type Deferred, deferred, gate } from '../../kit/deferred.js'
import type { EventReader } from '../../kit/event-reader.js'
import { LogLines } from '../../kit/log-lines.js'
import { accountFor, broadcastNumbers, numberedText, readUpTo, resyncOf } from '../../kit/numbered.js'
import { withTimeout } from '../../kit/patience.js'
import { serve } from '../../kit/server.js'
import { KERNEL_HOLDS, stuckClient } from '../../kit/slow-reader.js'

const KIB = 1024
const BIG = 64 * KIB
/** So many events of 64 KiB make a client stuck that does not read, over a unix socket. */
const FILL = KERNEL_HOLDS.unix / BIG + 5

/** What the app is told of its clients' coming and going, in order of arrival. */
class Guests {
  readonly here: SseClient[] = []
  readonly left: { client: SseClient; reason: DisconnectReason }[] = []
  readonly #leaving: Deferred<void>[] = []

  readonly hooks = {
    onConnect: (client: SseClient) => {
      this.here.push(client)
    },
    onDisconnect: (client: SseClient, reason: DisconnectReason) => {
      this.left.push({ client, reason })
      for (const { resolve } of this.#leaving) resolve()
    }
  }

  async waitForLeaving(count = 1): Promise<void> {
    while (this.left.length < count) {
      const leaving = deferred()
      this.#leaving.push(leaving)
      await withTimeout(leaving.promise, `client ${count} to leave`)
    }
  }
}

async function data(client: EventReader, n: number): Promise<string[]> {
  const events = await client.take(n)
  return events.map((event) => event.data)
}

t.test('client.send reaches that client alone, in order with broadcasts', async (t) => {
  const guests = new Guests()
  const { app, connect } = await serve(t, { sse: guests.hooks })
  const [client, other] = [await connect(), await connect()]
  const [guest] = guests.here
  const cursor = await client.waitForId()
  app.sse.broadcast('a')
  t.equal(guest!.send({ to: 'you' }, { event: 'private' }), true)
  app.sse.broadcast('b')
  app.sse.broadcast('c')
  guest!.send('1')
  guest!.send('2')
  app.sse.broadcast('d')

  t.strictSame(await data(client, 7), ['"a"', '{"to":"you"}', '"b"', '"c"', '"1"', '"2"', '"d"'])
  t.strictSame(await data(other, 4), ['"a"', '"b"', '"c"', '"d"'])
  const [, sent] = client.events
  t.match(sent, { id: undefined, event: 'private' })
  t.strictSame(client.ids, [cursor, ...other.events.map(({ id }) => id)], 'it leaves no trace in the cursor')
})

t.test('events of client.send are not replayed', async (t) => {
  const guests = new Guests()
  const { app, connect } = await serve(t, { sse: guests.hooks })
  const client = await connect()
  app.sse.broadcast('a')
  guests.here[0]!.send('for you')
  app.sse.broadcast('b')
  await client.take(3)
  const again = await connect({ lastEventId: client.ids[0]! })
  app.sse.broadcast('c')
  t.strictSame(await data(again, 3), ['"a"', '"b"', '"c"'])
})

t.test('client.send to a client that is catching up comes after what was broadcast before', async (t) => {
  const guests = new Guests()
  const served = await serve(t, { transport: 'unix', sse: guests.hooks })
  const client = await stuckClient(served)
  broadcastNumbers(served.app, 1, FILL, BIG)
  guests.here[0]!.send('sent')
  broadcastNumbers(served.app, FILL + 1, FILL + 5, BIG)
  client.resume()
  await readUpTo(client, FILL + 5)
  t.equal(
    client.events.findIndex((event) => event.data === '"sent"'),
    FILL
  )
  t.equal(accountFor(client.events.filter((event) => event.data !== '"sent"')).last, FILL + 5)
})

t.test('client.send refuses the same events as broadcast', async (t) => {
  const guests = new Guests()
  const { app, connect } = await serve(t, { sse: { maxEventBytes: 100, ...guests.hooks } })
  const client = await connect()
  const guest = guests.here[0]!
  t.throws(() => guest.send(undefined), { code: 'PYLON_SSE_ERR_UNSERIALIZABLE' })
  t.throws(() => guest.send(1, { event: 'a\nb' }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
  // @ts-expect-error
  t.throws(() => guest.send(1, { id: 'own' }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
  t.throws(() => guest.send('x'.repeat(99)), { code: 'PYLON_SSE_ERR_EVENT_TOO_LARGE' })
  guest.send('x'.repeat(98))
  t.strictSame(await data(client, 1), [`"${'x'.repeat(98)}"`])
  app.sse.broadcast(1)
  t.strictSame(await data(client, 1), ['1'])
})

const resuming: [how: string, missed: number][] = [
  ['a new client', 0],
  ['a client that resumes', 3]
]
for (const [how, missed] of resuming) {
  t.test(`${how} gets the snapshot that onConnect loads, then whatever was broadcast since, once`, async (t) => {
    const loading = gate()
    const onConnect = async (client: SseClient) => {
      client.send('early')
      await loading.pass()
      client.send('snapshot')
    }
    const { app, connect } = await serve(t, { sse: { onConnect } })
    const cursor = (await app.sse.publish('before')) as string
    broadcastNumbers(app, 1, 3)
    const client = await connect(missed > 0 ? { lastEventId: cursor } : {})
    await loading.reached
    broadcastNumbers(app, 4, 6)
    t.equal((await client.next()).data, '"early"', 'what is sent before need not wait')
    broadcastNumbers(app, 7, 9)
    loading.open()
    t.equal((await client.next()).data, '"snapshot"')
    await readUpTo(client, 9)
    broadcastNumbers(app, 10, 10)
    await readUpTo(client, 10)
    t.strictSame(accountFor(client.events.slice(2), 3 - missed), { last: 10, missed: 0, resyncs: [] })
  })
}

t.test('a client gets its resync first, then its snapshot', async (t) => {
  const onConnect = (client: SseClient) => void client.send('snapshot')
  const { app, connect } = await serve(t, { sse: { onConnect } })
  const client = await connect({ lastEventId: 'unknown' })
  app.sse.broadcast('live')
  const events = await client.take(3)
  t.match(resyncOf(events[0]!), { reason: 'unknown' })
  t.match(events.slice(1), [{ data: '"snapshot"' }, { data: '"live"' }])
})

t.test('events that are evicted while onConnect runs are reported, to the last one', async (t) => {
  const loading = gate()
  const onConnect = async (client: SseClient) => {
    await loading.pass()
    client.send('snapshot')
  }
  const { app, connect } = await serve(t, { sse: { history: { events: 5 }, queueDepth: 5, onConnect } })
  const client = await connect()
  await loading.reached
  broadcastNumbers(app, 1, 20)
  loading.open()
  await readUpTo(client, 20)
  const told = client.events.filter((event) => event.data !== '"snapshot"')
  t.strictSame(accountFor(told), { last: 20, missed: 15, resyncs: [{ reason: 'overflow', missed: 15 }] })
})

const failures: [how: string, onConnect: (client: SseClient) => void | Promise<void>][] = [
  [
    'throws',
    () => {
      throw new Error('no snapshot')
    }
  ],
  ['rejects', () => Promise.reject(new Error('no snapshot'))],
  [
    'rejects after it has sent something',
    async (client) => {
      client.send('half a snapshot')
      await null
      throw new Error('no snapshot')
    }
  ]
]
for (const [how, fail] of failures) {
  t.test(
    `an onConnect that ${how} ends that stream with a reconnection time, is logged, and affects nobody else`,
    async (t) => {
      const log = new LogLines()
      const guests = new Guests()
      const onConnect: PylonSseOptions['onConnect'] = (client, request) =>
        request.headers['x-fail'] ? fail(client) : undefined
      const { app, connect } = await serve(t, {
        fastify: { logger: { level: 'warn', stream: log } },
        sse: { retry: 1000, onConnect, onDisconnect: guests.hooks.onDisconnect }
      })
      const other = await connect()
      const client = await connect({ headers: { 'x-fail': '1' } })
      await client.waitForEnd()
      t.equal(client.status, 200)
      const [, jittered = Number.NaN] = client.retries
      t.ok(jittered >= 1000 && jittered <= 2000, `${jittered} ms`)
      t.equal(client.events.length, how.includes('sent') ? 1 : 0)
      await guests.waitForLeaving()
      t.match(guests.left, [{ reason: 'error' }])
      const line = await log.waitFor('SSE: onConnect failed, and the client is disconnected')
      t.match(line, { err: { message: 'no snapshot' }, sseClient: { id: guests.left[0]!.client.id } })

      app.sse.broadcast('still here')
      t.strictSame(await data(other, 1), ['"still here"'])
      t.match(app.sse.stats(), { connected: 1, disconnects: { error: 1 } })
      t.equal(log.lines.length, 1)
    }
  )
}

t.test('close() ends the stream properly, after everything that was broadcast and sent before', async (t) => {
  const guests = new Guests()
  const { app, connect } = await serve(t, { sse: guests.hooks })
  const [client, other] = [await connect(), await connect()]
  const [guest] = guests.here
  guest!.send('bye')
  app.sse.broadcast('last')
  guest!.close()
  app.sse.broadcast('too late')
  t.equal(guest!.send('too late'), false)
  t.equal(app.sse.clientCount, 1)
  await client.waitForEnd()
  t.strictSame(await data(client, 2), ['"bye"', '"last"'])
  t.equal(client.events.length, 2)
  t.strictSame(client.retries, [], 'the reconnection time stays what it was')
  await guests.waitForLeaving()
  guest!.close()
  t.strictSame(await data(other, 2), ['"last"', '"too late"'])
  t.match(guests.left, [{ client: guest, reason: 'closed' }])
  t.equal(guests.left.length, 1)
})

t.test('onConnect can close the client, with or without a last event', async (t) => {
  const onConnect = (client: SseClient, { headers }: { headers: Record<string, unknown> }) => {
    if (headers['x-word']) client.send('no entry')
    client.close()
    t.equal(client.send('too late'), false)
  }
  const { app, connect } = await serve(t, { sse: { onConnect } })
  for (const headers of [{}, { 'x-word': '1' }]) {
    const client = await connect({ headers })
    await client.waitForEnd()
    t.strictSame(
      client.events.map((event) => event.data),
      headers['x-word'] ? ['"no entry"'] : []
    )
    t.equal(client.comments[0], 'connected')
  }
  t.equal(app.sse.clientCount, 0)
})

t.test('a stuck client is gone soon after close(), though it does not read the end', async (t) => {
  const guests = new Guests()
  let connections!: Connections
  const setup = (app: FastifyInstance) => {
    connections = new Connections(app)
  }
  const served = await serve(t, { transport: 'unix', setup, sse: guests.hooks })
  const client = await stuckClient(served)
  const reader = await served.connect()
  broadcastNumbers(served.app, 1, FILL, BIG)
  await readUpTo(reader, FILL)
  guests.here[0]!.close()
  t.equal(guests.here[0]!.send('too late'), false)
  await guests.waitForLeaving()
  t.match(guests.left, [{ reason: 'closed' }])
  await connections.waitForNumber(1)
  client.resume()
  await client.waitForClose()
  t.notOk(client.ended)
})

const bounds: [what: string, sse: PylonSseOptions, bytes: number, kept: number][] = [
  ['queueDepth events', { queueDepth: 5 }, 10, 5],
  ['maxEventBytes', { maxEventBytes: 100 * KIB }, 30 * KIB, 3],
  ['a single event where it is as large as that', { maxEventBytes: BIG + 100 }, BIG, 1]
]
for (const [what, sse, bytes, kept] of bounds) {
  t.test(`a stuck client holds ${what} sent to it alone, and is told how many older ones it lost`, async (t) => {
    const guests = new Guests()
    const served = await serve(t, { transport: 'unix', sse: { ...sse, ...guests.hooks } })
    const client = await stuckClient(served)
    broadcastNumbers(served.app, 1, FILL, BIG)
    const reader = await served.connect()
    broadcastNumbers(served.app, FILL + 1, FILL + 1)
    await readUpTo(reader, FILL + 1)
    const sends = 20
    for (let n = 1; n <= sends; n++) t.equal(guests.here[0]!.send(numberedText(1000 + n, bytes)), true)
    t.equal(served.app.sse.stats().dropped, sends - kept)
    client.resume()
    await client.until((event) => event.data.startsWith(`"${1000 + sends} `))
    const sent = client.events.filter((event) => event.data.startsWith('"'))
    t.strictSame(
      sent.map((event) => Number.parseInt(event.data.slice(1), 10)),
      Array.from({ length: kept }, (_, i) => 1000 + sends - kept + 1 + i)
    )
    const broadcast = client.events.filter((event) => !sent.includes(event) && !resyncOf(event))
    t.equal(accountFor(broadcast).last, FILL + 1, 'no broadcast is lost for it')
    t.match(
      client.events.flatMap((event) => resyncOf(event) ?? []),
      [{ reason: 'overflow', missed: sends - kept }]
    )
  })
}

t.test("with overflow 'disconnect' a stuck client is cut when too much is sent to it", async (t) => {
  const guests = new Guests()
  const sse = { queueDepth: 5, overflow: 'disconnect', ...guests.hooks } as const
  const served = await serve(t, { transport: 'unix', sse })
  await stuckClient(served)
  broadcastNumbers(served.app, 1, FILL, BIG)
  const reader = await served.connect()
  broadcastNumbers(served.app, FILL + 1, FILL + 1)
  await readUpTo(reader, FILL + 1)
  const [guest] = guests.here
  const answers = Array.from({ length: 7 }, () => guest!.send('x'))
  t.strictSame(answers, [true, true, true, true, true, false, false])
  await guests.waitForLeaving()
  t.match(guests.left, [{ client: guest, reason: 'overflow' }])
})

t.test('a client has its own id, its address, the time it connected, and a place for data of the app', async (t) => {
  const before = new Date()
  const guests = new Guests()
  const served = await serve(t, { sse: guests.hooks })
  const [client] = await Promise.all([
    served.connect({ localAddress: '127.0.0.9' }),
    served.connect(),
    served.connect(),
    served.connect()
  ])
  t.equal(new Set(guests.here.map(({ id }) => id)).size, 4)
  const guest = guests.here.find(({ ip }) => ip === '127.0.0.9')!
  t.type(guest.id, 'string')
  t.ok(guest.connectedAt >= before && guest.connectedAt <= new Date())
  t.strictSame(guest.state, {})
  guest.state = { user: 7 }
  const listed = [...served.app.sse.clients]
  t.equal(listed.length, 4)
  t.ok(listed.includes(guest), 'the app meets the same client everywhere')
  await client.abort()
  await guests.waitForLeaving()
  t.match(guests.left, [{ client: { state: { user: 7 } }, reason: 'disconnected' }])

  const again = await served.connect({ localAddress: '127.0.0.9', lastEventId: client.lastEventId })
  const returned = guests.here.at(-1)!
  t.not(returned.id, guest.id, 'each connection is another client')
  await again.close()
})

t.test('a client over a unix socket has no address', async (t) => {
  const guests = new Guests()
  const { connect } = await serve(t, { transport: 'unix', sse: guests.hooks })
  await connect()
  t.equal(guests.here[0]!.ip, undefined)
})

t.test(
  'a client that leaves while onConnect runs is told to onDisconnect once, and its sends go nowhere',
  async (t) => {
    const loading = gate()
    const guests = new Guests()
    const through = deferred<boolean>()
    const log = new LogLines()
    const onConnect = async (client: SseClient) => {
      await loading.pass()
      through.resolve(client.send('snapshot'))
    }
    const { app, connect } = await serve(t, {
      fastify: { logger: { level: 'warn', stream: log } },
      sse: { onConnect, onDisconnect: guests.hooks.onDisconnect }
    })
    const client = await connect()
    await loading.reached
    t.equal(app.sse.clientCount, 1)
    await client.abort()
    await guests.waitForLeaving()
    t.equal(app.sse.clientCount, 0)
    loading.open()
    t.equal(await through.promise, false)
    const next = await connect()
    app.sse.broadcast('live')
    t.strictSame(await data(next, 2), ['"snapshot"', '"live"'])
    await next.abort()
    await guests.waitForLeaving(2)
    t.match(guests.left, [{ reason: 'disconnected' }, { reason: 'disconnected' }])
    t.strictSame(log.lines, [])
  }
)
