import t from 'tap'
import { bodyOf } from '../kit/answers.js'
import { ask, dataOf, pageOf, pathOf, type Query, type Refusal, serveNumbers } from '../kit/page-requests.js'

const malformed: [query: Query, message: RegExp][] = [
  [{ limit: 0 }, /'limit' takes a whole number from 1 to 1000/],
  [{ limit: 1001 }, /'limit'/],
  [{ limit: -1 }, /'limit'/],
  [{ limit: '1.5' }, /'limit'/],
  [{ limit: '' }, /'limit'/],
  [{ limit: 'many' }, /'limit'/],
  [{ limit: ['1', '2'] }, /'limit'/],
  [{ wait: -1 }, /'wait' takes a whole number from 0 to 60000/],
  [{ wait: 60_001 }, /'wait'/],
  [{ wait: 'long' }, /'wait'/],
  [{ since: ['a', 'b'] }, /'since' takes one id/]
]
for (const [query, message] of malformed) {
  t.test(`${pathOf(query)} is answered with 400 and the reason`, async (t) => {
    const { served } = await serveNumbers(t, 1, { maxClientsPerIp: 1 })
    const reader = await ask(served, query)
    t.equal(reader.status, 400)
    t.match(await bodyOf<Refusal>(reader), { code: 'PYLON_SSE_ERR_INVALID_QUERY', message })
    t.equal((await served.connect()).status, 200, 'and gives the slot back')
  })
}

t.test('since=<id> gives the events after it, also for an id of the app; 0 or none the oldest held', async (t) => {
  const { served } = await serveNumbers(t, 0, { history: { events: 4 }, queueDepth: 9 })
  const own = ['order & ~', 'own-1', ' spaces ']
  const ids: string[] = []
  for (const id of ['gone', ...own, undefined]) ids.push(await served.app.sse.publish(ids.length, { id }))
  for (const query of [{}, { since: '0' }]) t.strictSame(dataOf(await pageOf(served, query)), [1, 2, 3, 4])
  t.strictSame(
    (await pageOf(served)).events.map(({ id }) => id),
    ids.slice(1)
  )
  for (const [i, id] of ids.entries()) {
    const expected = [1, 2, 3, 4].filter((n) => n > i)
    if (id !== 'gone') t.strictSame(dataOf(await pageOf(served, { since: id })), expected, id)
  }
})

t.test('a cursor that the log no longer holds, or never assigned, gets 410 with the oldest cursor', async (t) => {
  const { served, ids } = await serveNumbers(t, 12, { history: { events: 5 }, queueDepth: 9 })
  for (const since of [ids[0]!, ids[5]!, 'nobody-7', '-1', '00', 'stay-away', `${ids[0]!.split('-')[0]}-99`]) {
    const reader = await ask(served, { since, wait: 60_000 })
    t.equal(reader.status, 410, since)
    t.equal(reader.headers.get('cache-control'), 'no-store')
    const refusal = await bodyOf<Refusal>(reader)
    t.match(refusal, { statusCode: 410, code: 'RESYNC_REQUIRED', error: 'Gone', message: String, oldest: ids[6] })
    t.strictSame(dataOf(await pageOf(served, { since: refusal.oldest! })), [8, 9, 10, 11, 12])
  }
})

t.test('without history a page is empty, and only the newest cursor leads on', async (t) => {
  const { served, ids } = await serveNumbers(t, 3, { history: false })
  t.strictSame(await pageOf(served), { events: [], cursor: ids[2], hasMore: false })
  t.equal((await ask(served, { since: ids[2]! })).status, 200)
  t.equal((await ask(served, { since: ids[1]! })).status, 410)
})
