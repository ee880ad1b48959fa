import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Audiences } from '../../lib/log/audience.js'
import type { Page } from '../../lib/routes/page.js'
import { bodyOf } from '../kit/answers.js'
import { gate } from '../kit/deferred.js'
import type { EventReader } from '../kit/event-reader.js'
import { serveHeld } from '../kit/held-app.js'
import { ask, type Closable, dataOf, pageOf, pathOf, publishNumbers, serveNumbers } from '../kit/page-requests.js'
import { serve } from '../kit/server.js'
import { waiting } from '../kit/waiting.js'

t.test('a server that closes answers its long polls, and closes', async (t) => {
  const { served, ids } = await serveNumbers(t, 3)
  const waits = waiting(t, 2)
  const query = { since: ids[2]!, wait: 60_000 }
  const readers = [await ask(served, query, false), await ask(served, { ...query, topic: 'a' }, false)]
  await waits
  await served.app.close()
  for (const reader of readers) {
    t.strictSame(await bodyOf(reader), { events: [], cursor: ids[2], hasMore: false })
    await reader.waitForClose()
  }
})

t.test('a long poll holds a slot, and releases it however the wait ends', async (t) => {
  let audiences!: Audiences
  const { hold } = Audiences.prototype
  Audiences.prototype.hold = function (subscriptions) {
    audiences = this
    return hold.call(this, subscriptions)
  }
  t.teardown(() => {
    Audiences.prototype.hold = hold
  })
  const { served, ids } = await serveNumbers(t, 3, { maxClientsPerIp: 2, overLimit: 'status' })
  const query = { topic: 'a', since: ids[2]!, wait: 60_000 }
  const isFree = async (what: string) => {
    const [one, two, three] = [await served.connect(), await served.connect(), await served.connect()]
    t.strictSame([one.status, two.status, three.status], [200, 200, 429], what)
    let left = served.app.sse.clientCount
    await Promise.all([one, two, three].map((client) => client.close()))
    while (left > 0) {
      await turn()
      left = served.app.sse.clientCount
    }
  }
  const ends: [how: string, wait: number, end: (readers: (EventReader & Closable)[]) => unknown][] = [
    ['by an event', 60_000, () => publishNumbers(served, 9, 9, 'a')],
    ['by time', 100, (readers) => Promise.all(readers.map((reader) => reader.waitForEnd()))],
    ['by the clients leaving', 60_000, (readers) => Promise.all(readers.map((reader) => reader.close()))]
  ]
  for (const [how, wait, end] of ends) {
    const waits = waiting(t, 2)
    const cursor = (await pageOf(served, { topic: 'a' })).cursor
    const readers = [
      await ask(served, { ...query, since: cursor, wait }, false),
      await ask(served, { ...query, since: cursor, wait }, false)
    ]
    await waits
    if (wait === 60_000) t.equal((await ask(served)).status, 429, 'held')
    await end(readers)
    while (audiences.size > 0) await turn()
    await isFree(`after an end ${how}`)
  }
})

t.test(
  'over HTTP/2 a request that waits is answered by an event, and its slot comes back when it leaves',
  async (t) => {
    const served = await serve(t, { transport: 'h2c', sse: { maxClientsPerIp: 1, overLimit: 'status' } })
    const [id] = await publishNumbers(served, 1, 1)
    const request = { path: pathOf({ since: id!, wait: 60_000 }), headers: { accept: 'application/json' } }
    let waits = waiting(t, 1)
    const first = await served.connectH2({ ...request, waitForHead: false })
    await waits
    await publishNumbers(served, 2, 2)
    t.strictSame(dataOf(await bodyOf(first)), [2])
    waits = waiting(t, 1)
    const second = await served.connectH2({
      ...request,
      path: pathOf({ since: (await page2()).cursor, wait: 60_000 }),
      waitForHead: false
    })
    await waits
    await second.close()
    let status = 429
    while (status === 429) {
      const next = await served.connectH2()
      status = next.status
      await next.close()
    }
    t.equal(status, 200)

    async function page2(): Promise<Page> {
      return bodyOf(await served.connectH2({ headers: request.headers }))
    }
  }
)

t.test('a long poll counts towards maxClients until it ends', async (t) => {
  const served = await serve(t, { sse: { maxClients: 1, overLimit: 'status' } })
  const waiting = await ask(served, { wait: 60_000 }, false)
  while ((await served.connect()).status !== 503) for (const client of served.app.sse.clients) client.close()
  served.app.sse.broadcast('event')
  t.equal((await bodyOf<Page>(waiting)).events.length, 1)
  t.equal((await served.connect()).status, 200)
})

t.test('a long poll does not keep the app from closing, whatever hooks there are', async (t) => {
  for (const transport of ['http', 'h2c'] as const) {
    const waits = gate()
    const held = gate()
    // Holds its closing, during which a slow machine may take its time for the answer.
    const served = await serveHeld(t, {
      transport,
      sse: { route: { preHandler: async () => waits.pass() } },
      setup: (app) => app.addHook('onSend', async () => held.pass())
    })
    const open = { path: '/events?wait=60000', headers: { accept: 'application/json' }, waitForHead: false }
    const client = transport === 'http' ? await served.connect(open) : await served.connectH2(open)
    await waits.reached
    waits.open()
    await turn()
    const closed = served.app.close()
    await held.reached
    held.open()
    await client.waitForEnd()
    served.closeServer()
    await closed
    t.pass(transport)
  }
})
