import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import t from 'tap'
import type { DisconnectReason, PylonSseOptions, SseClient } from '../../lib/index.js'
import { requireBinary } from '../kit/binary.js'
import { deferred } from '../kit/deferred.js'
import {
  accountFor,
  broadcastNumbers,
  broadcastPaced,
  numberedText,
  numberOf,
  readUpTo,
  resyncOf
} from '../kit/numbered.js'
import { withTimeout } from '../kit/patience.js'
import { type Served, type ServeOptions, serve } from '../kit/server.js'
import { KERNEL_HOLDS, stuckClient } from '../kit/slow-reader.js'

const KIB = 1024
const BIG = 64 * KIB
/** So many events of 64 KiB make a client stuck that does not read. */
const FILL = { http: KERNEL_HOLDS.tcp / BIG, unix: KERNEL_HOLDS.unix / BIG, http2: KERNEL_HOLDS.http2 / BIG }

type Transport = NonNullable<ServeOptions['transport']>
const transports: Transport[] = ['http', 'https', 'http2', 'h2c', 'unix']

function isHttp2(transport: Transport): boolean {
  return transport === 'http2' || transport === 'h2c'
}

function reading(served: Served, transport: Transport) {
  return isHttp2(transport) ? served.connectH2() : served.connect()
}

function stuck(served: Served, transport: Transport) {
  return isHttp2(transport) ? served.connectH2({ stuckBefore: 'body' }) : served.connect({ stuckBefore: 'body' })
}

/** The first client to leave, and the reason that the app is told. */
function departures() {
  const { promise, resolve } = deferred<[SseClient, DisconnectReason]>()
  return {
    onDisconnect: (...departure: [SseClient, DisconnectReason]) => resolve(departure),
    left: () => withTimeout(promise, 'a client to leave')
  }
}

for (const transport of transports) {
  const needsCertificate = transport === 'https' || transport === 'http2'

  t.test(
    `a loop that broadcasts 5,000 events in one tick loses nothing for clients that read, over ${transport}`,
    async (t) => {
      if (needsCertificate && !requireBinary(t, 'openssl')) return
      const served = await serve(t, { transport })
      const clients = await Promise.all([reading(served, transport), reading(served, transport)])
      broadcastNumbers(served.app, 1, 5000, 200)
      for (const client of clients) {
        await readUpTo(client, 5000)
        t.strictSame(accountFor(client.events), { last: 5000, missed: 0, resyncs: [] })
      }
    }
  )

  t.test(
    `a client stuck past queueDepth loses its oldest, and is told exactly how many, over ${transport}`,
    async (t) => {
      if (needsCertificate && !requireBinary(t, 'openssl')) return
      const served = await serve(t, { transport, sse: { queueDepth: 10 } })
      const { app } = served
      const reader = await reading(served, transport)
      const slow = await stuck(served, transport)
      const filled = FILL[transport === 'unix' ? 'unix' : isHttp2(transport) ? 'http2' : 'http'] + 5
      broadcastNumbers(app, 1, filled, BIG)
      await readUpTo(reader, filled)
      const last = filled + 30
      await broadcastPaced(app, reader, filled + 1, last)
      t.strictSame(accountFor(reader.events), { last, missed: 0, resyncs: [] }, 'a client that reads loses nothing')
      t.equal(app.sse.stats().slowestLag, 10)

      slow.resume()
      await readUpTo(slow, last)
      const { missed, resyncs, ...account } = accountFor(slow.events)
      t.equal(account.last, last, 'what it was given and what it missed is what was broadcast')
      t.match(resyncs, [{ reason: 'overflow' }])
      const told = slow.events.findIndex((event) => resyncOf(event))
      t.strictSame(slow.events.slice(told + 1).map(numberOf), range(last - 9, last), 'it keeps the newest queueDepth')
      t.match(app.sse.stats(), { dropped: missed, resyncs: { overflow: 1 } })
    }
  )
}

const logs: [bound: string, sse: PylonSseOptions][] = [
  ['events', { history: { events: 10 }, queueDepth: 10 }],
  ['bytes', { history: { bytes: 2000 } }],
  ['events, a single one', { history: false, queueDepth: 1 }]
]
for (const [bound, sse] of logs) {
  t.test(`a burst larger than a log bounded by ${bound} loses nothing for clients that read`, async (t) => {
    const { app, connect } = await serve(t, { sse: { shards: 2, ...sse } })
    const clients = await Promise.all(range(1, 5).map(() => connect()))
    broadcastNumbers(app, 1, 5000)
    for (const client of clients) {
      await readUpTo(client, 5000)
      t.strictSame(accountFor(client.events), { last: 5000, missed: 0, resyncs: [] })
    }
    t.equal(app.sse.stats().dropped, 0)
  })
}

const depths: [events: number, loses: boolean][] = [
  [10, false],
  [11, true]
]
for (const [events, loses] of depths) {
  const outcome = loses ? 'loses its oldest' : 'loses nothing, however large the burst it was reading'
  t.test(`a stuck client that falls ${events} events behind with a queueDepth of 10 ${outcome}`, async (t) => {
    const served = await serve(t, { transport: 'unix', sse: { queueDepth: 10, shards: 1 } })
    const reader = await served.connect()
    const slow = await stuckClient(served)
    broadcastNumbers(served.app, 1, 100, BIG)
    await readUpTo(reader, 100)
    await broadcastPaced(served.app, reader, 101, 100 + events)
    t.equal(served.app.sse.stats().dropped > 0, loses)
    slow.resume()
    await readUpTo(slow, 100 + events)
    t.match(accountFor(slow.events), { last: 100 + events, resyncs: loses ? [{ reason: 'overflow' }] : [] })
    await slow.close()
  })
}

t.test('queueDepth also counts for a client that has no room left for a keepalive', async (t) => {
  const sockets: Socket[] = []
  const setup: ServeOptions['setup'] = (app) => app.server.on('connection', (socket) => sockets.push(socket))
  const sse = { queueDepth: 10, shards: 1, keepAliveInterval: 10 }
  const served = await serve(t, { transport: 'unix', setup, sse })
  const { app } = served
  const slow = await stuckClient(served)
  const [socket] = sockets
  let n = 0
  const room = () => socket!.writableHighWaterMark - socket!.writableLength - 100
  while (room() > 0) {
    broadcastNumbers(app, ++n, n, Math.min(room(), KIB))
    await turn()
  }
  // What is left takes but a few keepalives, and need not be given to them.
  for (let i = 0; i < 30 && !socket!.writableNeedDrain; i++) await delay(10)
  const reader = await served.connect()
  await broadcastPaced(app, reader, n + 1, n + 30)
  t.equal(app.sse.stats().slowestLag, 10)
  slow.resume()
  await readUpTo(slow, n + 30)
  t.match(accountFor(slow.events), { last: n + 30, missed: app.sse.stats().dropped })
})

t.test('a client that gets stuck again gets another resync, for what it has missed since', async (t) => {
  const served = await serve(t, { transport: 'unix', sse: { queueDepth: 5 } })
  const reader = await served.connect()
  const slow = await stuckClient(served)
  let last = 0
  for (let round = 1; round <= 3; round++) {
    broadcastNumbers(served.app, last + 1, last + 25, BIG)
    await readUpTo(reader, last + 25)
    await broadcastPaced(served.app, reader, last + 26, last + 35)
    last += 35
    slow.resume()
    await readUpTo(slow, last)
    t.match(accountFor(slow.events), { last, resyncs: new Array(round).fill({ reason: 'overflow' }) })
    slow.pause()
  }
})

t.test('a stuck client that loses events to the bound of bytes is told exactly how many', async (t) => {
  const served = await serve(t, { transport: 'unix', sse: { history: { bytes: 5 * BIG } } })
  const reader = await served.connect()
  const slow = await stuckClient(served)
  broadcastNumbers(served.app, 1, 60, BIG)
  await readUpTo(reader, 60)
  slow.resume()
  await readUpTo(slow, 60)
  const { last, resyncs } = accountFor(slow.events)
  t.equal(last, 60)
  t.match(resyncs, [{ reason: 'overflow' }])
})

for (const [bound, sse] of Object.entries({
  queueDepth: { queueDepth: 10 },
  'the bytes of the log': { history: { bytes: 5 * BIG } }
})) {
  t.test(`a stuck client past ${bound} has missed no event that left it out by except`, async (t) => {
    const served = await serve(t, { transport: 'unix', sse })
    const { app } = served
    const slow = await stuckClient(served)
    const [{ id }] = [...app.sse.clients] as [SseClient]
    const reader = await served.connect()
    const all = Array.from({ length: 80 }, (_, i) => i + 1)
    const isOwn = (n: number) => n % 3 === 0
    for (const n of all) {
      app.sse.broadcastMessage(numberedText(n, BIG), isOwn(n) ? { except: id } : {})
      if (n % 2 === 0) await readUpTo(reader, n)
    }
    const entitled = all.filter((n) => !isOwn(n))
    slow.resume()
    await readUpTo(slow, entitled.at(-1)!)
    const given = slow.events.map(numberOf).filter((n) => !Number.isNaN(n))
    const missed = slow.events.map((event) => resyncOf(event)?.missed ?? 0).reduce((sum, n) => sum + n)
    t.ok(given.every((n) => !isOwn(n)))
    t.ok(missed > 0)
    t.equal(given.length + missed, entitled.length)
    t.equal(app.sse.stats().dropped, missed)
  })
}

t.test('without history a slow client still catches up on queueDepth events', async (t) => {
  const served = await serve(t, { transport: 'unix', sse: { history: false, queueDepth: 50 } })
  const reader = await served.connect()
  const slow = await stuckClient(served)
  broadcastNumbers(served.app, 1, 30, BIG)
  await readUpTo(reader, 30)
  await broadcastPaced(served.app, reader, 31, 50)
  slow.resume()
  await readUpTo(slow, 50)
  t.strictSame(accountFor(slow.events), { last: 50, missed: 0, resyncs: [] })
})

t.test(
  'a client that resumes and reads slowly gets its whole replay, however much more than queueDepth it is',
  async (t) => {
    const served = await serve(t, { transport: 'unix', sse: { queueDepth: 20 } })
    const { app } = served
    const reader = await served.connect()
    const cursor = await reader.waitForId()
    broadcastNumbers(app, 1, 2000, 4 * KIB)
    await readUpTo(reader, 2000)
    const slow = await stuckClient(served, { lastEventId: cursor })
    await broadcastPaced(app, reader, 2001, 2020)
    t.ok(app.sse.stats().slowestLag > 1000, 'it is far behind')
    slow.resume()
    await readUpTo(slow, 2020)
    t.strictSame(accountFor(slow.events), { last: 2020, missed: 0, resyncs: [] })
  }
)

t.test(
  "with overflow 'disconnect' a client past queueDepth is cut, and resumes from the last event it has",
  async (t) => {
    const { onDisconnect, left } = departures()
    const sse = { queueDepth: 10, overflow: 'disconnect', shards: 1, onDisconnect } as const
    const served = await serve(t, { transport: 'unix', sse })
    const { app } = served
    const reader = await served.connect()
    const slow = await stuckClient(served)
    broadcastNumbers(app, 1, 25, BIG)
    await readUpTo(reader, 25)
    await broadcastPaced(app, reader, 26, 35)
    t.equal(app.sse.clientCount, 2, 'not before it is past queueDepth')
    await broadcastPaced(app, reader, 36, 36)
    t.equal((await left())[1], 'overflow')
    t.equal(app.sse.clientCount, 1)

    slow.resume()
    await slow.waitForClose()
    const { last, resyncs } = accountFor(slow.events)
    t.ok(last >= 1 && last < 25, `it has events 1 to ${last}`)
    t.strictSame(resyncs, [])
    t.notOk(slow.ended, 'no proper end')
    const again = await served.connect({ lastEventId: slow.lastEventId })
    await readUpTo(again, 36)
    t.strictSame(accountFor(again.events, last), { last: 36, missed: 0, resyncs: [] })
    t.strictSame(accountFor(reader.events), { last: 36, missed: 0, resyncs: [] })
  }
)

t.test('stuck clients do not delay others, not even in their own shard', async (t) => {
  const setup: ServeOptions['setup'] = (app) => app.get('/other', async () => 'served')
  const served = await serve(t, { transport: 'unix', setup, sse: { shards: 1 } })
  const before = await Promise.all(range(1, 5).map(() => stuckClient(served)))
  const reader = await served.connect()
  const after = await Promise.all(range(1, 5).map(() => stuckClient(served)))
  broadcastNumbers(served.app, 1, 25, BIG)
  await readUpTo(reader, 25)
  await broadcastPaced(served.app, reader, 26, 200)
  const other = await served.connect({ path: '/other' })
  await other.waitForEnd()
  t.equal(other.body, 'served')
  t.ok(served.app.sse.stats().slowestLag > 175, 'they are stuck')
  t.equal(served.app.sse.clientCount, 11)
  await Promise.all([...before, ...after].map((client) => client.abort()))
})

t.test('a client that takes nothing for stallTimeout is cut, and no other', async (t) => {
  const { onDisconnect, left } = departures()
  const served = await serve(t, { transport: 'unix', sse: { stallTimeout: 200, onDisconnect } })
  const reader = await served.connect()
  const slow = await stuckClient(served)
  broadcastNumbers(served.app, 1, 25, BIG)
  await readUpTo(reader, 25)
  const since = performance.now()
  const [client, reason] = await left()
  t.equal(reason, 'stalled')
  // The clock of the check is the server's, which began a little before.
  t.ok(performance.now() - since > 100, 'not at once')
  t.strictSame([...served.app.sse.clients].includes(client), false)
  slow.resume()
  await slow.waitForClose()
  t.strictSame(accountFor(slow.events).resyncs, [])
  await broadcastPaced(served.app, reader, 26, 26)
  t.equal(served.app.sse.clientCount, 1)
})

for (const transport of ['unix', 'h2c'] as const) {
  t.test(
    `a client that takes nothing for stallTimeout is cut, however little that is, over ${transport}`,
    async (t) => {
      const { onDisconnect, left } = departures()
      let response!: ServerResponse
      const onRequest = async (_request: FastifyRequest, reply: FastifyReply) => {
        response = reply.raw
      }
      // Keepalives, which it does not take either, do not hide it.
      const sse = { stallTimeout: 300, keepAliveInterval: 40, onDisconnect, route: { onRequest } }
      const served = await serve(t, { transport, sse })
      await stuck(served, transport)
      // HTTP/2 takes a while over what fits into the client's window, of 64 KiB, and leaves the rest.
      const fits = transport === 'h2c' ? 60 : 0
      for (let n = 1; n <= fits || response.writableLength < 4 * KIB; n++) {
        broadcastNumbers(served.app, n, n, KIB)
        do await turn()
        while (n <= fits && response.writableLength > 0)
      }
      t.equal((await left())[1], 'stalled')
    }
  )
}

t.test('a client that takes an event slowly, but all the time, is not cut', async (t) => {
  const { onDisconnect, left } = departures()
  const stallTimeout = 500
  const maxEventBytes = 32 * KIB ** 2
  const served = await serve(t, { transport: 'unix', sse: { stallTimeout, maxEventBytes, onDisconnect } })
  const slow = await served.connect()
  served.app.sse.broadcastMessage(`${'x'.repeat(999)}\n`.repeat(24 * KIB))
  const since = performance.now()
  const reads = (async () => {
    while (slow.events.length === 0 && !slow.isClosed) {
      const { length } = slow.body
      slow.resume()
      while (slow.body.length === length && !slow.isClosed) await turn()
      slow.pause()
      await delay(12)
    }
  })()
  const outcome = await Promise.race([left().then(([, reason]) => reason), reads.then(() => 'read it all')])
  t.equal(outcome, 'read it all')
  t.ok(performance.now() - since > stallTimeout, 'it was slow')
  slow.resume()
})

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}
