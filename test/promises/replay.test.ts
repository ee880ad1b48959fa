import t from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { accountFor, broadcastNumbers, idsOfNumbers, numberedText, readUpTo } from '../kit/numbered.js'
import { serve } from '../kit/server.js'
import type { StreamRequest } from '../kit/stream-request.js'

const everyWay: [way: string, ask: (id: string) => StreamRequest][] = [
  ['by the header', (lastEventId) => ({ lastEventId })],
  ['by the query', (lastEventId) => ({ query: { lastEventId } })]
]

for (const [way, ask] of everyWay) {
  t.test(`a client resumes ${way} from any id in the log: each later event once, in order, then live`, async (t) => {
    const served = await serve(t)
    const ids = await idsOfNumbers(served, 20, (n) => (n % 3 === 0 ? `order & ${n}` : undefined))
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
  const ids = await idsOfNumbers(served, 3)
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
  await idsOfNumbers(served, 3)
  const requests = [{}, { lastEventId: '' }, { query: { lastEventId: '' } }, { query: { other: 'x' } }]
  const clients = await Promise.all(requests.map((request) => served.connect(request)))
  served.app.sse.broadcast(4)
  for (const client of clients) t.equal((await client.next()).data, '4')
})

t.test('a client resumes from any id of the app, as a browser sends it', async (t) => {
  const served = await serve(t)
  const own = ['a, b', 'own-1', '1', '0', ' spaces ', '%C3%A9', 'a b:c;d=~', '"q"', '-']
  const ids = await idsOfNumbers(served, own.length, (n) => own[n - 1])
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
    const ids = await idsOfNumbers(served, 12)
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
  const [, oldest] = await idsOfNumbers(served, 1)
  broadcastNumbers(served.app, 2, 10_001)
  const client = await served.connect({ lastEventId: oldest! })
  await readUpTo(client, 10_001)
  t.strictSame(accountFor(client.events, 1), { last: 10_001, missed: 0, resyncs: [] })
})
