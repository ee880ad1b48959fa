import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { Audiences } from '../../lib/log/audience.js'
import type { Page } from '../../lib/routes/page.js'

import { gate } from '../kit/deferred.js'
import type { EventReader } from '../kit/event-reader.js'
import { type Served, serve } from '../kit/server.js'
import { waiting } from '../kit/waiting.js'

type Query = Record<string, string | number | string[]>

interface Refusal {
  statusCode: number
  code: string
  message: string
  oldest?: string
}

function pathOf(query: Query): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    [value].flat().map((one): [string, string] => [name, String(one)])
  )
  return `/events?${new URLSearchParams(pairs)}`
}

function ask({ connect }: Served, query: Query = {}, waitForHead = true): Promise<EventReader & Closable> {
  return connect({ path: pathOf(query), headers: { accept: 'application/json' }, waitForHead })
}

interface Closable {
  close(): Promise<void>
}

async function bodyOf<Body = Page>(reader: EventReader): Promise<Body> {
  await reader.waitForEnd()
  return JSON.parse(reader.body) as Body
}

async function pageOf(served: Served, query: Query = {}): Promise<Page> {
  return bodyOf(await ask(served, query))
}

async function publishNumbers({ app }: Served, from: number, to: number, topic?: string): Promise<string[]> {
  const ids: string[] = []
  for (let n = from; n <= to; n++) ids.push(await app.sse.publish(n, { topic }))
  return ids
}

function dataOf({ events }: Page): unknown[] {
  return events.map(({ data }) => data)
}

/** A log with the events 1 to `n` in it. */
async function serveNumbers(t: Test, n: number, sse: PylonSseOptions = {}) {
  const served = await serve(t, { sse: { authorizeTopics: () => true, ...sse } })
  const ids = await publishNumbers(served, 1, n)
  return { served, ids }
}

t.test('a client that prefers JSON gets the events held, oldest first, and a cursor', async (t) => {
  const { served, ids } = await serveNumbers(t, 3)
  const reader = await ask(served)
  t.equal(reader.status, 200)
  t.match(reader.headers.get('content-type'), /^application\/json/)
  t.equal(reader.headers.get('cache-control'), 'no-store')
  t.equal(reader.headers.get('access-control-allow-origin'), '*', 'as the stream')
  t.strictSame(await bodyOf(reader), {
    events: ids.map((id, i) => ({ id, data: i + 1 })),
    cursor: ids[2],
    hasMore: false
  })
})

t.test('an empty log is an empty page, with a cursor that everything follows', async (t) => {
  const { served } = await serveNumbers(t, 0)
  const empty = await pageOf(served)
  t.match(empty, { events: [], hasMore: false })
  await publishNumbers(served, 1, 2)
  t.strictSame(dataOf(await pageOf(served, { since: empty.cursor })), [1, 2])
})

const accepts: [accept: string | undefined, type: string][] = [
  ['application/json', 'application/json; charset=utf-8'],
  ['application/*', 'application/json; charset=utf-8'],
  ['text/event-stream;q=0.5, application/json', 'application/json; charset=utf-8'],
  ['text/event-stream, application/json;q=0.5', 'text/event-stream'],
  ['text/*', 'text/event-stream'],
  ['*/*', 'text/event-stream'],
  ['', 'text/event-stream'],
  [undefined, 'text/event-stream']
]
for (const [accept, type] of accepts) {
  t.test(`Accept: ${accept ?? 'nothing'} gets ${type}, by HEAD and by GET`, async (t) => {
    const { served } = await serveNumbers(t, 1)
    for (const method of ['GET', 'HEAD']) {
      const reader = await served.connect({ method, headers: { accept } })
      t.equal(reader.status, 200)
      t.equal(reader.headers.get('content-type')?.split(';')[0], type.split(';')[0], method)
    }
  })
}

t.test('pages of any size lead through the log: each event once, in order, up to the end', async (t) => {
  const { served } = await serveNumbers(t, 20)
  for (const limit of [1, 3, 7, 19, 20, 21, 1000]) {
    const seen: unknown[] = []
    let page: Page | undefined
    let pages = 0
    do {
      page = await pageOf(served, { limit, ...(page && { since: page.cursor }) })
      t.ok(page.events.length <= limit)
      seen.push(...dataOf(page))
      pages++
    } while (page.hasMore)
    t.equal(pages, Math.ceil(20 / limit), 'none of them empty')
    t.strictSame(
      seen,
      Array.from({ length: 20 }, (_, i) => i + 1)
    )
    t.match(await pageOf(served, { since: page.cursor }), { events: [], cursor: page.cursor, hasMore: false })
  }
})

t.test('without a limit a page has up to 100 events, and it may have 1,000', async (t) => {
  const { served } = await serveNumbers(t, 1005)
  t.match(await pageOf(served), { events: { length: 100 }, hasMore: true })
  t.match(await pageOf(served, { limit: 1000 }), { events: { length: 1000 }, hasMore: true })
})

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

t.test('an event of a page says its name, its topic and its data: JSON as JSON, text as text', async (t) => {
  const { served } = await serveNumbers(t, 0)
  const { sse } = served.app
  sse.broadcast({ deep: [1, null, 'x\ny'] }, { event: 'todo.created', topic: 'a.b', id: 'own' })
  sse.broadcast('a string')
  sse.broadcast(null)
  sse.broadcastMessage('{"not":"read"}')
  sse.broadcastMessage('two\r\nlines\n\nid: forged', { event: 'text' })
  sse.broadcastMessage('')
  const { events } = await pageOf(served, { topic: 'a.*' })
  t.strictSame(
    events.map(({ id, ...rest }) => rest),
    [
      { event: 'todo.created', topic: 'a.b', data: { deep: [1, null, 'x\ny'] } },
      { data: 'a string' },
      { data: null },
      { data: '{"not":"read"}' },
      { event: 'text', data: 'two\nlines\n\nid: forged' },
      { data: '' }
    ]
  )
  t.equal(events[0]!.id, 'own')
})

t.test('data that the app serialises to something other than JSON is given as text', async (t) => {
  const served = await serve(t, { sse: { serialize: (data) => `<${data}>` } })
  served.app.sse.broadcast('x')
  t.strictSame(dataOf(await pageOf(served)), ['<x>'])
})

t.test('a page holds the topics that are asked for, and the cursor passes over the others', async (t) => {
  const { served } = await serveNumbers(t, 0)
  for (let n = 0; n < 5; n++) {
    for (const topic of ['a', 'b', 'b.x', undefined]) served.app.sse.broadcastMessage(`${topic}${n}`, { topic })
  }
  const all = (...topics: string[]) =>
    Array.from({ length: 5 }, (_, n) => [...topics, 'undefined'].map((topic) => `${topic}${n}`)).flat()
  t.strictSame(dataOf(await pageOf(served)), all())
  t.strictSame(dataOf(await pageOf(served, { topic: 'a' })), all('a'))
  t.strictSame(dataOf(await pageOf(served, { topic: ['a', 'b.**'] })), all('a', 'b', 'b.x'))
  const first = await pageOf(served, { topic: 'a', limit: 9 })
  t.match(first, { events: { length: 9 }, hasMore: true })
  t.match(await pageOf(served, { topic: 'a', limit: 1, since: first.cursor }), { hasMore: false })
  await publishNumbers(served, 1, 3, 'c')
  const end = await pageOf(served, { topic: 'a', limit: 1, since: first.cursor })
  t.strictSame([dataOf(end), end.hasMore], [['undefined4'], false])
  t.match(end.cursor, /-23$/, 'so that a quiet topic never falls behind')
})

t.test('a page has the same access control as the stream', async (t) => {
  const grants: Record<string, string[]> = { '7': ['user:7', 'team.*'] }
  const served = await serve(t, {
    sse: {
      authorizeTopics: ({ headers }) => grants[headers['x-user'] as string],
      route: {
        onRequest: async ({ headers }, reply) => {
          if (headers['x-user'] === undefined) return reply.code(401).send()
        }
      }
    }
  })
  for (const topic of ['user:7', 'user:42', 'team.a', undefined])
    served.app.sse.broadcastMessage(topic ?? 'all', { topic })
  const get = async (user: string | undefined, ...topic: string[]) => {
    const headers = { accept: 'application/json', 'x-user': user }
    const reader = await served.connect({ path: pathOf({ topic }), headers })
    return reader.status === 200 ? dataOf(await bodyOf(reader)) : reader.status
  }
  t.equal(await get(undefined), 401)
  t.strictSame(await get('42'), ['all'])
  t.equal(await get('42', 'user:7'), 403)
  t.equal(await get('7', 'user:42', '**', 'team.**'), 403)
  t.strictSame(await get('7', 'user:7', 'user:42'), ['user:7', 'all'])
  t.strictSame(await get('7', 'team.*', 'user:42'), ['team.a', 'all'])
  t.equal(await get('7', 'team.*', ''), 400)
})

// -- long polls

t.test('a long poll is answered by the first event for it, and no other event wakes it', async (t) => {
  const { served, ids } = await serveNumbers(t, 3)
  const all = waiting(t, 4)
  const query = { since: ids[2]!, wait: 60_000 }
  const plain = await ask(served, query, false)
  const [a, pattern, both] = [
    await ask(served, { ...query, topic: 'a' }, false),
    await ask(served, { ...query, topic: 'a.*' }, false),
    await ask(served, { ...query, topic: ['a', 'b'] }, false)
  ]
  await all
  const [first] = await publishNumbers(served, 4, 4, 'b')
  t.strictSame(await bodyOf(both), { events: [{ id: first, topic: 'b', data: 4 }], cursor: first, hasMore: false })
  await publishNumbers(served, 5, 5, 'a.x')
  t.strictSame(dataOf(await bodyOf(pattern)), [5])
  await publishNumbers(served, 6, 6, 'a')
  t.strictSame(dataOf(await bodyOf(a)), [6])
  t.throws(() => plain.status, 'still waits')
  const [last] = await publishNumbers(served, 7, 7)
  t.strictSame(await bodyOf(plain), { events: [{ id: last, data: 7 }], cursor: last, hasMore: false })
})

t.test('a long poll gets a whole burst, up to its limit', async (t) => {
  const { served, ids } = await serveNumbers(t, 1)
  const both = waiting(t, 2)
  const query = { since: ids[0]!, wait: 60_000 }
  const [all, few] = [await ask(served, query, false), await ask(served, { ...query, limit: 2 }, false)]
  await both
  for (let n = 2; n <= 6; n++) served.app.sse.broadcast(n)
  t.strictSame(dataOf(await bodyOf(all)), [2, 3, 4, 5, 6])
  const page = await bodyOf(few)
  t.strictSame(dataOf(page), [2, 3])
  t.ok(page.hasMore)
  t.strictSame(dataOf(await pageOf(served, { since: page.cursor, wait: 60_000 })), [4, 5, 6])
})

t.test('a long poll does not wait if there are events', async (t) => {
  const { served } = await serveNumbers(t, 2)
  t.strictSame(dataOf(await pageOf(served, { wait: 60_000 })), [1, 2])
})

t.test('a long poll that gets nothing ends with an empty page, whose cursor has moved on', async (t) => {
  const { served, ids } = await serveNumbers(t, 3, { history: { events: 5 }, queueDepth: 5 })
  const waits = waiting(t, 1)
  const reader = await ask(served, { topic: 'quiet', since: ids[2]!, wait: 200 }, false)
  await waits
  const busy = await publishNumbers(served, 4, 30, 'busy')
  t.strictSame(await bodyOf(reader), { events: [], cursor: busy.at(-1), hasMore: false })
  const [id] = await publishNumbers(served, 31, 31, 'quiet')
  t.strictSame(await pageOf(served, { topic: 'quiet', since: busy.at(-1)! }), {
    events: [{ id, topic: 'quiet', data: 31 }],
    cursor: id,
    hasMore: false
  })
})

t.test('a long poll on a quiet topic misses nothing, however busy other topics are', async (t) => {
  const { served, ids } = await serveNumbers(t, 3, { history: { events: 5 }, queueDepth: 5 })
  const waits = waiting(t, 1)
  const reader = await ask(served, { topic: 'quiet', since: ids[2]!, wait: 60_000 }, false)
  await waits
  await publishNumbers(served, 4, 30, 'busy')
  await publishNumbers(served, 31, 31, 'quiet')
  await reader.head()
  t.equal(reader.status, 200)
  t.strictSame(dataOf(await bodyOf(reader)), [31])
})

t.test('a burst larger than the log gives a long poll 410, not a page with a gap', async (t) => {
  const { served, ids } = await serveNumbers(t, 3, { history: { events: 5 }, queueDepth: 5 })
  const waits = waiting(t, 1)
  const reader = await ask(served, { since: ids[2]!, wait: 60_000 }, false)
  await waits
  for (let n = 4; n <= 20; n++) served.app.sse.broadcast(n)
  await reader.head()
  t.equal(reader.status, 410)
  t.match(await bodyOf<Refusal>(reader), { code: 'RESYNC_REQUIRED', oldest: /-15$/ })
})

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

t.test('many long polls on one connection are answered in order, without a warning', async (t) => {
  const warnings: Error[] = []
  const warned = (warning: Error) => void warnings.push(warning)
  process.on('warning', warned)
  t.teardown(() => process.off('warning', warned))
  const { served, ids } = await serveNumbers(t, 3)
  const waits = waiting(t, 20)
  const path = pathOf({ since: ids[2]!, wait: 60_000 })
  const headers = { accept: 'application/json' }
  const client = await served.connect({ path, headers, waitForHead: false })
  for (let i = 1; i < 20; i++) client.request({ path, headers })
  await waits
  await turn()
  const [id] = await publishNumbers(served, 4, 4)
  for (const reader of [client, ...client.pipelined]) t.match(await bodyOf(reader), { cursor: id })
  t.strictSame(warnings, [])
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

t.test('a page ends after 1 MiB of events, so that an unread page takes no more memory', async (t) => {
  const served = await serve(t)
  for (let n = 0; n < 3; n++) served.app.sse.broadcastMessage(`${n}${'x'.repeat(600_000)}`)
  served.app.sse.broadcastMessage('small')
  const first = await pageOf(served)
  t.strictSame([first.events.length, first.hasMore], [1, true], 'two are larger')
  const rest = await pageOf(served, { since: first.cursor })
  t.strictSame([rest.events.length, rest.hasMore], [1, true])
  const last = await pageOf(served, { since: rest.cursor })
  t.strictSame(
    last.events.map(({ data }) => String(data).slice(0, 5)),
    ['2xxxx', 'small']
  )
  t.equal(last.hasMore, false)
})

t.test('an event larger than a MiB is a page of its own', async (t) => {
  const served = await serve(t, { sse: { maxEventBytes: 4_000_000 } })
  for (let n = 0; n < 2; n++) served.app.sse.broadcastMessage(`${n}${'x'.repeat(2_000_000)}`)
  const page = await pageOf(served)
  t.strictSame([page.events.length, page.hasMore], [1, true])
})

t.test('a page holds its slot until it has been sent', async (t) => {
  const held = gate()
  const served = await serve(t, {
    sse: { maxClientsPerIp: 1, overLimit: 'status' },
    setup: (app) => {
      app.addHook('onSend', async ({ url }) => {
        if (url.includes('slow')) await held.pass()
      })
    }
  })
  const slow = await ask(served, { slow: '' }, false)
  await held.reached
  t.equal((await ask(served)).status, 429)
  held.open()
  await bodyOf(slow)
  t.equal((await ask(served)).status, 200)
})

t.test('a long poll counts towards maxClients until it ends', async (t) => {
  const served = await serve(t, { sse: { maxClients: 1, overLimit: 'status' } })
  const waiting = await ask(served, { wait: 60_000 }, false)
  while ((await served.connect()).status !== 503) for (const client of served.app.sse.clients) client.close()
  served.app.sse.broadcast('event')
  t.equal((await bodyOf(waiting)).events.length, 1)
  t.equal((await served.connect()).status, 200)
})

t.test('a long poll does not keep the app from closing, whatever hooks there are', async (t) => {
  for (const transport of ['http', 'h2c'] as const) {
    const waits = gate()
    const held = gate()
    const served = await serve(t, {
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
    await closed
    t.pass(transport)
  }
})
