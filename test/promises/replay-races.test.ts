import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { MemoryEngine, memoryBackplane } from '../../lib/backplane/memory.js'
import type { PylonSseOptions, SseClient } from '../../lib/index.js'
import { gate } from '../kit/deferred.js'
import { accountFor, broadcastNumbers, idsOfNumbers, readUpTo, resyncOf } from '../kit/numbered.js'
import { serve } from '../kit/server.js'
import { asksFor } from '../kit/topics.js'

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
  const ids = await idsOfNumbers(served, 40)
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
