import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { MemoryEngine, memoryBackplane } from '../../lib/backplane/memory.js'
import type { PylonSseOptions, SseClient } from '../../lib/index.js'
import { gate } from '../kit/deferred.js'
import { accountFor, broadcastNumbers, numberedText, readUpTo, resyncOf } from '../kit/numbered.js'
import { type Served, serve } from '../kit/server.js'
import type { StreamRequest } from '../kit/stream-request.js'
import { asksFor } from '../kit/topics.js'

/** Broadcasts the events numbered 1 to `n`; their ids, and at 0 the cursor before them. */
async function publishNumbers({ app, connect }: Served, n: number, idOf?: (n: number) => string | undefined) {
  const witness = await connect()
  const ids = [await witness.waitForId()]
  await witness.close()
  for (let number = 1; number <= n; number++) ids.push(await app.sse.publish(number, { id: idOf?.(number) }))
  return ids
}

const everyWay: [way: string, ask: (id: string) => StreamRequest][] = [
  ['by the header', (lastEventId) => ({ lastEventId })],
  ['by the query', (lastEventId) => ({ query: { lastEventId } })]
]

for (const [way, ask] of everyWay) {
  t.test(`a client resumes ${way} from any id in the log: each later event once, in order, then live`, async (t) => {
    const served = await serve(t)
    const ids = await publishNumbers(served, 20, (n) => (n % 3 === 0 ? `order & ${n}` : undefined))
    const clients = await Promise.all(ids.map((id) => served.connect(ask(id))))
    served.app.sse.broadcast(21)
    for (const [place, client] of clients.entries()) {
      await readUpTo(client, 21)
      t.strictSame(accountFor(client.events, place), { last: 21, missed: 0, resyncs: [] }, `from ${ids[place]}`)
    }
  })
}

t.test('of two last event ids the header wins, unless it is empty', async (t) => {
  const served = await serve(t)
  const ids = await publishNumbers(served, 3)
  const query = { lastEventId: ids[1]! }
  const [both, empty] = await Promise.all([
    served.connect({ lastEventId: ids[2]!, query }),
    served.connect({ lastEventId: '', query })
  ])
  t.equal((await both.next()).data, '3')
  t.equal((await empty.next()).data, '2')
})

t.test('a client without a last event id, or with an empty one, is a new client', async (t) => {
  const served = await serve(t)
  await publishNumbers(served, 3)
  const requests = [{}, { lastEventId: '' }, { query: { lastEventId: '' } }, { query: { other: 'x' } }]
  const clients = await Promise.all(requests.map((request) => served.connect(request)))
  served.app.sse.broadcast(4)
  for (const client of clients) t.equal((await client.next()).data, '4')
})

t.test('a client resumes from any id of the app, as a browser sends it', async (t) => {
  const served = await serve(t)
  const own = ['a, b', 'own-1', '1', '0', ' spaces ', '%C3%A9', 'a b:c;d=~', '"q"', '-']
  const ids = await publishNumbers(served, own.length, (n) => own[n - 1])
  for (const [place, id] of ids.entries()) {
    for (const [way, ask] of everyWay) {
      const client = await served.connect(ask(id))
      served.app.sse.broadcastMessage('live')
      const { data } = await client.next()
      t.equal(data, place < own.length ? String(place + 1) : 'live', `'${id}' ${way}`)
      await client.close()
    }
  }
})

const bounds: [what: string, sse: PylonSseOptions, reach: number][] = [
  ['as many events as history says', { history: { events: 5 }, queueDepth: 1 }, 5],
  ['no more where the log holds more for slow clients', { history: { events: 5 }, queueDepth: 9 }, 5],
  ['one event', { history: { events: 1 } }, 1],
  ['none without history', { history: false }, 0]
]
for (const [what, sse, reach] of bounds) {
  t.test(`a client resumes over ${what}; past it, it is told how many it has missed`, async (t) => {
    const served = await serve(t, { sse })
    const ids = await publishNumbers(served, 12)
    const clients = await Promise.all(ids.map((lastEventId) => served.connect({ lastEventId })))
    served.app.sse.broadcast(13)
    for (const [place, client] of clients.entries()) {
      await readUpTo(client, 13)
      const resyncs = 12 - place <= reach ? [] : [{ reason: 'expired', missed: 12 - place }]
      t.strictSame(accountFor(client.events, place), { last: 13, missed: resyncs[0]?.missed ?? 0, resyncs })
    }
  })
}

t.test('a history bounded by bytes replays the newest events that fit it', async (t) => {
  const served = await serve(t, { sse: { history: { bytes: 10_000 } } })
  const { app, connect } = served
  const witness = await connect()
  const ids = [await witness.waitForId()]
  const sizes = [0]
  for (let n = 1; n <= 30; n++) {
    const before = witness.body.length
    app.sse.broadcastMessage(numberedText(n, n * 37))
    ids.push((await witness.next()).id!)
    sizes.push(witness.body.length - before)
  }
  const sizeAfter = (place: number) => sizes.slice(place + 1).reduce((sum, size) => sum + size, 0)
  const oldest = ids.findIndex((_id, place) => sizeAfter(place) <= 10_000)
  t.ok(oldest > 10 && oldest < 25, 'the bound is among them')
  const [within, beyond] = await Promise.all([
    connect({ lastEventId: ids[oldest]! }),
    connect({ lastEventId: ids[oldest - 1]! })
  ])
  app.sse.broadcast(31)
  for (const client of [within, beyond]) await readUpTo(client, 31)
  t.strictSame(accountFor(within.events, oldest), { last: 31, missed: 0, resyncs: [] })
  const missed = 30 - (oldest - 1)
  t.strictSame(accountFor(beyond.events, oldest - 1), { last: 31, missed, resyncs: [{ reason: 'expired', missed }] })
})

t.test('the whole of the default history, 10,000 events, is replayed', async (t) => {
  const served = await serve(t)
  const [, oldest] = await publishNumbers(served, 1)
  broadcastNumbers(served.app, 2, 10_001)
  const client = await served.connect({ lastEventId: oldest! })
  await readUpTo(client, 10_001)
  t.strictSame(accountFor(client.events, 1), { last: 10_001, missed: 0, resyncs: [] })
})

t.test(
  'an id that the log does not know brings a resync that cannot say how many were missed, then live',
  async (t) => {
    const served = await serve(t, { sse: { history: { events: 3 }, queueDepth: 3 } })
    const ids = await publishNumbers(served, 8, (n) => (n === 2 ? 'gone' : undefined))
    const [epoch] = ids[0]!.split('-')
    const unknown = [
      'gone',
      'x',
      '8',
      `${epoch}-9`,
      `${epoch}-08`,
      `${epoch}--1`,
      `${epoch}-`,
      `${epoch}`,
      `x${ids[8]}`
    ]
    const clients = await Promise.all(unknown.map((lastEventId) => served.connect({ lastEventId })))
    served.app.sse.broadcast(9)
    for (const [i, client] of clients.entries()) {
      const [resync, live] = await client.take(2)
      t.strictSame(resync && resyncOf(resync), { reason: 'unknown', missed: null }, String(unknown[i]))
      t.equal(live?.data, '9')
    }
  }
)

t.test('an id from before a restart is unknown, even where its number is in the log again', async (t) => {
  const before = await publishNumbers(await serve(t), 5)
  const restarted = await serve(t)
  await publishNumbers(restarted, 8)
  const clients = await Promise.all(before.map((lastEventId) => restarted.connect({ lastEventId })))
  restarted.app.sse.broadcast(9)
  for (const client of clients) {
    const [resync, live] = await client.take(2)
    t.strictSame(resync && resyncOf(resync), { reason: 'unknown', missed: null })
    t.equal(live?.data, '9')
  }
})

t.test('the id of a resync is a cursor: a client that comes back with it has missed nothing more', async (t) => {
  const served = await serve(t, { sse: { history: { events: 3 } } })
  const ids = await publishNumbers(served, 8)
  for (const lastEventId of [ids[2]!, 'unknown']) {
    const client = await served.connect({ lastEventId })
    const resync = await client.next()
    t.equal(resync.event, 'resync')
    await client.abort()
    served.app.sse.broadcast('meanwhile')
    const head = await served.app.sse.publish('meanwhile')
    const again = await served.connect({ lastEventId: resync.id! })
    t.match(await again.take(2), [{ data: '"meanwhile"' }, { data: '"meanwhile"', id: head }])
  }
})

t.test('a client that is cut off before its first event resumes from where it connected', async (t) => {
  const served = await serve(t)
  await publishNumbers(served, 3)
  const client = await served.connect()
  await client.waitForId()
  await client.abort()
  broadcastNumbers(served.app, 4, 6)
  const again = await served.connect({ lastEventId: client.lastEventId })
  await readUpTo(again, 6)
  t.strictSame(accountFor(again.events, 3), { last: 6, missed: 0, resyncs: [] })
})

t.test('a client that is cut off before its resync gets it when it reconnects', async (t) => {
  const held = gate()
  let visits = 0
  const onConnect = () => (visits++ === 0 ? held.pass() : undefined)
  const served = await serve(t, { sse: { history: { events: 2 }, onConnect } })
  served.app.sse.broadcast(0)
  // No client until then, for the first one to be the one that is held.
  const lastEventId = await served.app.sse.publish(1)
  broadcastNumbers(served.app, 2, 5)
  const client = await served.connect({ lastEventId })
  await held.reached
  await client.waitForComment('connected')
  t.strictSame(client.ids, [], 'no id that would hide the gap')
  await client.abort()
  held.open()
  broadcastNumbers(served.app, 6, 6)
  const again = await served.connect({ lastEventId })
  t.match(resyncOf(await again.next()), { reason: 'expired', missed: 5 })
  served.app.sse.broadcast(7)
  t.equal((await again.next()).data, '7')
})

type Hold = (pass: () => Promise<void>) => PylonSseOptions
const moments: [moment: string, hold: Hold, missed: [within: number, beyond: number]][] = [
  ['before its request is handled', (pass) => ({ route: { preHandler: pass } }), [13, 14]],
  [
    'before its head is sent',
    (pass) => ({ route: { onSend: async (_request, _reply, payload) => pass().then(() => payload) } }),
    [0, 11]
  ],
  ['while onConnect runs', (pass) => ({ onConnect: pass }), [0, 11]]
]
for (const [moment, hold, missed] of moments) {
  t.test(`what is broadcast ${moment} follows what a resuming client missed, with no gap`, async (t) => {
    const gates = [gate(), gate()]
    let visits = 0
    const served = await serve(t, { sse: { history: { events: 10 }, ...hold(() => gates[visits++]!.pass()) } })
    const within = await served.app.sse.publish(1)
    const beyond = within.replace(/1$/, '0')
    broadcastNumbers(served.app, 2, 11)
    const opening = [within, beyond].map((lastEventId) => served.connect({ lastEventId, waitForHead: false }))
    await Promise.all(gates.map(({ reached }) => reached))
    broadcastNumbers(served.app, 12, 14)
    for (const { open } of gates) open()
    const clients = await Promise.all(opening)
    await Promise.all(clients.map((client) => client.head()))
    broadcastNumbers(served.app, 15, 15)
    for (const [i, client] of clients.entries()) {
      await readUpTo(client, 15)
      t.match(accountFor(client.events, 1 - i), { last: 15, missed: missed[i] })
    }
  })
}

t.test('clients that resume while events are broadcast without a pause miss none and get none twice', async (t) => {
  const served = await serve(t)
  const ids = await publishNumbers(served, 40)
  const LAST = 600
  let next = 41
  const broadcasting = (async () => {
    while (next <= LAST) {
      broadcastNumbers(served.app, next, next)
      next++
      await turn()
    }
  })()
  const clients = await Promise.all(ids.map((lastEventId) => served.connect({ lastEventId })))
  t.ok(next < LAST, 'they came amid it')
  await broadcasting
  for (const [place, client] of clients.entries()) {
    await readUpTo(client, LAST)
    t.strictSame(accountFor(client.events, place), { last: LAST, missed: 0, resyncs: [] })
  }
})

for (const [where, options] of [
  ['in the process', {}],
  ['on a backplane', { backplane: memoryBackplane(new MemoryEngine()) }]
] as const) {
  t.test(`${where} a client of a quiet topic resumes, however busy other topics have been meanwhile`, async (t) => {
    const s = await serve(t, {
      sse: { ...options, history: { events: 10 }, queueDepth: 5, authorizeTopics: () => true }
    })
    const { sse } = s.app
    const quiet = asksFor('quiet', 'calm.*')
    await sse.publish('first', { topic: 'quiet' })
    const lastEventId = await sse.publish('second', { topic: 'calm.1' })
    for (let n = 0; n < 50; n++) await sse.publish(n, { topic: 'busy' })
    const client = await s.connect({ ...quiet, lastEventId })
    sse.broadcast('live', { topic: 'quiet' })
    t.equal((await client.next()).data, '"live"', 'and is told of no loss')
    const page = await fetch(`${s.url}${quiet.path}&since=${encodeURIComponent(lastEventId)}`, {
      headers: { accept: 'application/json' }
    })
    t.match(await page.json(), { events: [{ data: 'live' }] }, 'nor is a page')

    const busy = await s.connect({ ...asksFor('busy'), lastEventId })
    t.match(resyncOf(await busy.next()), { reason: 'expired', missed: null }, 'who hears the busy one is')
  })
}

t.test('a client that subscribes in onConnect to topics whose events are gone is told so, once', async (t) => {
  const arrived: SseClient[] = []
  const s = await serve(t, {
    sse: {
      history: { events: 10 },
      queueDepth: 5,
      authorizeTopics: () => true,
      onConnect: (client) => {
        arrived.push(client)
        client.subscribe('busy')
        client.subscribe('busy.too')
      }
    }
  })
  const lastEventId = await s.app.sse.publish('first', { topic: 'quiet' })
  for (let n = 0; n < 50; n++) s.app.sse.broadcast(n, { topic: n % 2 ? 'busy' : 'busy.too' })
  const client = await s.connect({ ...asksFor('quiet'), lastEventId })
  t.match(resyncOf(await client.next()), { reason: 'expired', missed: null })
  t.equal(arrived[0]?.resumed, false)
  const stranger = await s.connect({ ...asksFor('quiet'), lastEventId: 'unheard-of' })
  t.match(resyncOf(await stranger.next()), { reason: 'unknown', missed: null })
  s.app.sse.broadcast('live', { topic: 'busy' })
  for (const each of [client, stranger]) t.equal((await each.next()).data, '"live"')
})
