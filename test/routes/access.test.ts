import type { FastifyRequest } from 'fastify'
import t from 'tap'
import type { CloseOptions, DisconnectReason, PylonSseOptions, SseClient, TopicGrant } from '../../lib/index.js'
import { Browser } from '../kit/browser.js'
import { launchChromium } from '../kit/chromium.js'
import { deferred, gate } from '../kit/deferred.js'
import type { EventReader } from '../kit/event-reader.js'
import { LogLines } from '../kit/log-lines.js'
import { type Served, serve } from '../kit/server.js'
import { Arrivals, asksFor } from '../kit/topics.js'

const END = 'end'

async function heard({ app }: Served, ...readers: EventReader[]): Promise<string[][]> {
  app.sse.broadcastMessage(END)
  for (const reader of readers) await reader.until(({ data }) => data === END)
  return readers.map(({ events }) => events.map(({ data }) => data).filter((data) => data !== END))
}

async function bodyOf(reader: EventReader): Promise<Record<string, unknown>> {
  await reader.waitForEnd()
  return JSON.parse(reader.body)
}

function tellEach({ app }: Served, topics: string[]): void {
  for (const topic of topics) app.sse.broadcastMessage(topic, { topic })
}

const FORBIDDEN = {
  statusCode: 403,
  code: 'PYLON_SSE_ERR_TOPIC_FORBIDDEN',
  error: 'Forbidden',
  message: 'You may not subscribe to any of these topics.'
}

t.test('without authorizeTopics a request for any topic gets 403', async (t) => {
  const served = await serve(t)
  const topics = ['user:42', 'a.*', '**']
  for (const request of [...topics.map((topic) => asksFor(topic)), asksFor(...topics)]) {
    const guess = await served.connect(request)
    t.equal(guess.status, 403)
    t.strictSame(await bodyOf(guess), FORBIDDEN)
    const page = await served.connect({ ...request, headers: { accept: 'application/json' } })
    t.equal(page.status, 403, 'as JSON, too')
    const resumed = await served.connect({ ...request, lastEventId: 'x-0' })
    t.equal(resumed.status, 403, 'resuming, too')
    const head = await served.connect({ ...request, method: 'HEAD' })
    t.equal(head.status, 403, 'HEAD, too')
  }
  const plain = await served.connect()
  tellEach(served, ['user:42', 'a.b'])
  t.strictSame(await heard(served, plain), [[]])
  t.match(served.app.sse.stats(), { connected: 1, rejected: { forbiddenTopic: 16, invalidTopic: 0 } })
})

const ASKED = ['a', 'b.x', 'b.*']
const grants: [what: string, grant: TopicGrant, allowed: string[]][] = [
  ['true grants all', true, ASKED],
  ['the same topics grant all', ['b.*', 'b.x', 'a'], ASKED],
  ['a pattern grants what it covers', ['b.*'], ['b.x', 'b.*']],
  ['one topic grants that one', ['a'], ['a']],
  ['topics that were not asked for grant nothing', ['c', 'a.*'], []],
  ['more than what was asked for grants no more', ['a', 'c', 'd.**'], ['a']],
  ['an empty list grants nothing', [], []],
  ['false grants nothing', false, []],
  ['null grants nothing', null, []],
  ['undefined grants nothing', undefined, []],
  ['what is merely truthy grants nothing', 'a' as unknown as TopicGrant, []],
  ['a Set grants nothing', new Set(ASKED) as unknown as TopicGrant, []]
]

for (const way of ['sync', 'async'] as const) {
  for (const [what, grant, allowed] of grants) {
    t.test(`authorizeTopics, ${way}: ${what}`, async (t) => {
      const arrivals = new Arrivals()
      const asked: string[][] = []
      const served = await serve(t, {
        sse: {
          onConnect: arrivals.onConnect,
          authorizeTopics: (_request, topics) => {
            asked.push(topics)
            return way === 'sync' ? grant : Promise.resolve(grant)
          }
        }
      })
      const reader = await served.connect(asksFor(...ASKED))
      t.strictSame(asked, [ASKED])
      if (allowed.length === 0) {
        t.equal(reader.status, 403)
        return
      }
      t.strictSame(arrivals.last.topics, allowed)
      tellEach(served, ['a', 'b.x', 'b.y', 'c'])
      const hears = ['a', 'b.x', 'b.y'].filter(
        (topic) => allowed.includes(topic) || (topic.startsWith('b') && allowed.includes('b.*'))
      )
      t.strictSame(await heard(served, reader), [hears])
    })
  }
}

t.test('a client that asks for no topic needs no grant, and authorizeTopics is not called', async (t) => {
  let calls = 0
  const served = await serve(t, { sse: { authorizeTopics: () => ++calls > 0 } })
  t.equal((await served.connect()).status, 200)
  t.equal((await served.connect({ query: { other: 'a' } })).status, 200)
  t.equal(calls, 0)
})

t.test('authorizeTopics cannot add to what is asked for by changing it', async (t) => {
  const arrivals = new Arrivals()
  const authorizeTopics = (_request: FastifyRequest, topics: string[]) => {
    topics.push('secret')
    return true
  }
  const served = await serve(t, { sse: { authorizeTopics, onConnect: arrivals.onConnect } })
  await served.connect(asksFor('a'))
  t.strictSame(arrivals.last.topics, ['a'])
})

class TeapotError extends Error {
  readonly statusCode = 418
}

for (const [way, authorizeTopics] of [
  [
    'throws',
    () => {
      throw new TeapotError('no tea')
    }
  ],
  ['rejects', () => Promise.reject(new TeapotError('no tea'))]
] as [string, NonNullable<PylonSseOptions['authorizeTopics']>][]) {
  t.test(`if authorizeTopics ${way}, Fastify's error handler responds, and the client gets nothing`, async (t) => {
    const logs = new LogLines()
    const seen: Error[] = []
    const served = await serve(t, {
      sse: { authorizeTopics, maxClientsPerIp: 1 },
      setup: (app) => void app.addHook('onError', async (_request, _reply, error) => void seen.push(error)),
      fastify: { logger: { level: 'error', stream: logs } }
    })
    for (const accept of ['text/event-stream', 'application/json']) {
      const reader = await served.connect({ ...asksFor('a'), headers: { accept } })
      t.equal(reader.status, 418)
      t.match(await bodyOf(reader), { statusCode: 418, message: 'no tea' })
    }
    t.equal(seen.length, 2)
    t.equal((await served.connect()).status, 200, 'no slot is kept')
    t.match(served.app.sse.stats(), { accepted: 1 })
  })
}

t.test('a value that authorizeTopics throws is answered as an error, even if it is not one', async (t) => {
  const thrown: [unknown, status: number][] = [
    ['no', 500],
    [undefined, 500],
    [null, 500],
    [{ statusCode: 401, message: 'who?' }, 401]
  ]
  for (const [what, status] of thrown) {
    const served = await serve(t, { sse: { authorizeTopics: () => Promise.reject(what) } })
    const reader = await served.connect(asksFor('a'))
    t.equal(reader.status, status, String(what))
    await reader.waitForEnd()
  }
})

t.test('disconnect() refuses a predicate that returns a promise, which would select every client', async (t) => {
  const served = await serve(t)
  await served.connect()
  const error = { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: /^Option 'predicate'/ }
  const predicates = [async () => false, async () => Promise.reject(new Error('late'))]
  for (const predicate of predicates) t.throws(() => served.app.sse.disconnect(predicate as never), error)
  t.equal(served.app.sse.clientCount, 1)
})

t.test('disconnect() and close() refuse what they do not take, by name, and end no stream', async (t) => {
  const served = await serve(t)
  await served.connect()
  const { sse } = served.app
  const [client] = sse.clients
  const everyone = () => true
  const selector = 'PYLON_SSE_ERR_INVALID_SELECTOR'
  const option = 'PYLON_SSE_ERR_INVALID_OPTION'
  const calls: [what: string, call: () => unknown, error: { code: string; message: RegExp }][] = [
    ['null', () => sse.disconnect(null as never), { code: selector, message: /got null; it takes an object, or/ }],
    ['nothing', () => sse.disconnect(undefined as never), { code: selector, message: /undefined; it takes/ }],
    ['an id as text', () => sse.disconnect(client!.id as never), { code: selector, message: /string; it takes/ }],
    ['an array', () => sse.disconnect([] as never), { code: selector, message: /an array; it takes/ }],
    ['no options', () => sse.disconnect(everyone, null as never), { code: option, message: /'options' got null/ }],
    [
      'a bad one',
      () => sse.disconnect(everyone, { reconnect: 'no' } as never),
      { code: option, message: /'reconnect'/ }
    ],
    ['misspelt', () => client!.close({ reconect: false } as never), { code: option, message: /'reconect'/ }],
    ['null for close', () => client!.close(null as never), { code: option, message: /'options' got null/ }],
    ['a number', () => client!.close(7 as never), { code: option, message: /'options' got 7/ }]
  ]
  for (const [what, call, error] of calls) t.throws(call, error, what)
  t.equal(sse.clientCount, 1)
  client!.close({ reconnect: undefined })
  t.equal(sse.clientCount, 0)
})

t.test('each client is visited once, whatever is done to it and to others meanwhile', async (t) => {
  const arrivals = new Arrivals()
  const served = await serve(t, { sse: { shards: 4, maxClientsPerIp: false, onConnect: arrivals.onConnect } })
  for (let i = 0; i < 20; i++) await served.connect()
  const { sse } = served.app
  const visit = (each: (client: SseClient, count: number) => void): number => {
    const visited: SseClient[] = []
    for (const client of sse.clients) {
      visited.push(client)
      each(client, visited.length)
      if (visited.length > 100) break
    }
    t.equal(new Set(visited).size, visited.length, 'none twice')
    return visited.length
  }
  t.equal(
    visit((client) => client.subscribe('a')),
    20
  )
  t.equal(
    visit((client, count) => client.subscribe(`room.${count}`)),
    20
  )
  t.equal(
    visit((client) => client.unsubscribe('a')),
    20
  )
  const [first, last] = [[...sse.clients][0]!, [...sse.clients].at(-1)!]
  t.equal(
    visit((client) => client === first && last.close()),
    19,
    'who leaves meanwhile is left out'
  )
  t.equal(
    visit((client) => client.close()),
    19
  )
  t.equal(sse.clientCount, 0)
})

t.test('nothing is sent before authorizeTopics has answered', async (t) => {
  const held = gate()
  const served = await serve(t, { sse: { authorizeTopics: () => held.pass().then(() => ['a']) } })
  const reader = await served.connect({ ...asksFor('a', 'b'), waitForHead: false })
  await held.reached
  tellEach(served, ['a', 'b'])
  t.equal(served.app.sse.clientCount, 0)
  held.open()
  await reader.head()
  tellEach(served, ['b', 'a'])
  t.strictSame(await heard(served, reader), [['a']])
})

t.test('a client that leaves while authorizeTopics is running is not admitted', async (t) => {
  const held = gate()
  const served = await serve(t, { sse: { maxClientsPerIp: 1, authorizeTopics: () => held.pass().then(() => true) } })
  const reader = await served.connect({ ...asksFor('a'), waitForHead: false })
  await held.reached
  await reader.close()
  // The server has seen the end of that connection once it has answered on a later one.
  await fetch(`${served.url}/nowhere`)
  held.open()
  t.equal((await served.connect()).status, 200)
  t.match(served.app.sse.stats(), { accepted: 1, connected: 1 })
})

t.test('a server that closes while authorizeTopics is running admits no client, and closes', async (t) => {
  const held = gate()
  const served = await serve(t, {
    sse: { overLimit: 'status', authorizeTopics: () => held.pass().then(() => true) }
  })
  const other = await served.connect()
  const reader = await served.connect({ ...asksFor('a'), waitForHead: false })
  await held.reached
  const closed = served.app.close()
  await other.waitForEnd()
  held.open()
  await reader.head()
  t.equal(reader.status, 503)
  t.match(await bodyOf(reader), { code: 'PYLON_SSE_ERR_CLOSING' })
  await closed
  await Promise.all([other.waitForClose(), reader.waitForClose()])
})

const widening: [granted: string, asked: string, allowed: boolean][] = [
  ['orders.*', 'orders.new', true],
  ['orders.*', 'orders.*', true],
  ['orders.*', 'orders.**', false],
  ['orders.*', 'orders', false],
  ['orders.*', 'orders.new.eu', false],
  ['orders.*', '*.new', false],
  ['orders.*', '*', false],
  ['orders.*', '*.*', false],
  ['orders.*', '**', false],
  ['orders.*', 'orders.', true],
  ['orders.**', 'orders', true],
  ['orders.**', 'orders.*', true],
  ['orders.**', 'orders.*.eu', true],
  ['orders.**', 'orders.**', true],
  ['orders.**', 'orders.new.**', true],
  ['orders.**', 'ordersX', false],
  ['orders.**', '**', false],
  ['orders.**', '*.**', false],
  ['*', '*', true],
  ['*', 'a', true],
  ['*', '**', false],
  ['*', '*.*', false],
  ['*.*', '*.**', false],
  ['*.eu', 'us.*', false],
  ['**', '**', true],
  ['**', '*.a', true],
  ['user:42', 'user:42', true],
  ['user:42', 'user:4', false],
  ['user:42', 'user:421', false],
  ['user:42', 'USER:42', false],
  ['user:42', ' user:42', false],
  ['user:42', '*', false],
  ['a.b', 'a.*', false],
  ['constructor', '__proto__', false]
]

t.test('a wildcard is granted only if everything that it matches is', async (t) => {
  let granted = ''
  const served = await serve(t, { sse: { authorizeTopics: () => [granted] } })
  for (const [grant, asked, allowed] of widening) {
    granted = grant
    const reader = await served.connect(asksFor(asked))
    t.equal(reader.status, allowed ? 200 : 403, `${grant} ${allowed ? 'grants' : 'does not grant'} ${asked}`)
    await reader.close()
  }
})

/** Whoever says in a header who he is may hear his own topic, and no other. */
const byUser: PylonSseOptions = {
  authorizeTopics: ({ headers }) => [`user:${headers['x-user']}`, `user:${headers['x-user']}.**`]
}

t.test("a topic of another user is not granted by guessing, by pattern, or along with one's own", async (t) => {
  const served = await serve(t, { sse: byUser })
  const headers = { 'x-user': '7' }
  for (const guess of ['user:42', '*', '**', 'user:42.inbox', '*.inbox', 'user:42.**', '*.**']) {
    const thief = await served.connect({ ...asksFor(guess), headers })
    t.equal(thief.status, 403, guess)
  }
  const own = await served.connect({ ...asksFor('user:7', 'user:42', '**', 'user:7.*'), headers })
  tellEach(served, ['user:42', 'user:7', 'user:42.inbox', 'user:7.inbox', 'other'])
  t.strictSame(await heard(served, own), [['user:7', 'user:7.inbox']])
})

t.test('a topic that was revoked meanwhile is neither replayed nor paged, even to its former clients', async (t) => {
  let granted = ['a', 'b']
  const served = await serve(t, { sse: { authorizeTopics: () => granted } })
  const first = await served.connect(asksFor('a', 'b'))
  const lastEventId = await first.waitForId()
  tellEach(served, ['b', 'a'])
  t.strictSame(await heard(served, first), [['b', 'a']])
  await first.close()
  granted = ['a']
  tellEach(served, ['b', 'a'])
  const again = await served.connect({ ...asksFor('a', 'b'), lastEventId })
  t.strictSame(await heard(served, again), [['a', 'a']])
  const accept = 'application/json'
  const page = await served.connect({
    path: `${asksFor('a', 'b').path}&since=${lastEventId}`,
    headers: { accept }
  })
  const { events } = (await bodyOf(page)) as { events: { topic?: string }[] }
  t.strictSame(
    events.map(({ topic }) => topic),
    ['a', undefined, 'a', undefined]
  )
  granted = []
  for (const headers of [{}, { accept }]) {
    const refused = await served.connect({ ...asksFor('a', 'b'), headers, lastEventId })
    t.equal(refused.status, 403)
  }
})

t.test('10,000 topics in one query are refused before authorizeTopics is called', async (t) => {
  let calls = 0
  const topics = Array.from({ length: 10_000 }, (_, i) => `t${i}`)
  const served = await serve(t, {
    sse: { authorizeTopics: () => ++calls > 0 },
    fastify: { http: { maxHeaderSize: 2 ** 20 } } as object
  })
  const greedy = await served.connect(asksFor(...topics))
  t.equal(greedy.status, 400)
  t.match(await bodyOf(greedy), {
    code: 'PYLON_SSE_ERR_INVALID_TOPIC',
    message: /10000 topics; a subscription takes 100 at most/
  })
  t.equal(calls, 0)
  t.equal((await served.connect(asksFor(...topics.slice(0, 100)))).status, 200)
  t.equal((await served.connect(asksFor(...topics.slice(0, 101)))).status, 400)
  t.equal(calls, 1)

  const usual = await serve(t, { sse: { authorizeTopics: () => true } })
  t.equal((await usual.connect(asksFor(...topics))).status, 431, 'most servers do not even read them')
})

t.test('route.onRequest runs before topics are checked, and a request that it refuses is not a client', async (t) => {
  let calls = 0
  const served = await serve(t, {
    sse: {
      authorizeTopics: () => ++calls > 0,
      route: {
        onRequest: async ({ headers }, reply) => {
          if (headers.authorization !== 'Bearer good') return reply.code(401).send({ error: 'who are you?' })
        }
      }
    }
  })
  t.equal((await served.connect(asksFor('a'))).status, 401)
  t.equal(calls, 0)
  t.equal((await served.connect({ ...asksFor('a'), headers: { authorization: 'Bearer good' } })).status, 200)
  t.equal(calls, 1)
})

// -- kept out

const LISTEN = `
  heard = []
  source = new EventSource('/events')
  source.onmessage = ({ data }) => heard.push(data)
`

t.test('a client that is told to stay away gets 204 when it reconnects, and gives up', async (t) => {
  const reasons: DisconnectReason[] = []
  const arrivals = new Arrivals()
  const served = await serve(t, {
    sse: {
      ...byUser,
      retry: 10,
      onConnect: arrivals.onConnect,
      onDisconnect: (_client, reason) => void reasons.push(reason)
    }
  })
  const browser = new Browser(t, `${served.url}${asksFor('user:7').path}`, { 'x-user': '7' })
  await browser.waitForAnswers(1)
  served.app.sse.broadcastMessage('last words')
  arrivals.last.close({ reconnect: false })
  served.app.sse.broadcastMessage('unheard')
  await browser.waitForAnswers(2)
  t.strictSame(browser.statuses, [200, 204])
  await browser.waitForClosed()
  t.strictSame(browser.data, ['last words'])
  t.strictSame(reasons, ['closed'])
  t.match(served.app.sse.stats(), { accepted: 1, connected: 0 })
})

t.test('a browser whose stream is ended for good gets 204 when it reconnects, and stays away', async (t) => {
  const browser = await launchChromium(t)
  if (browser === undefined) return
  const statuses: number[] = []
  const arrivals = new Arrivals()
  const served = await serve(t, {
    sse: { retry: 10, onConnect: arrivals.onConnect },
    setup: (app) => {
      app.get('/', async (_request, reply) => reply.type('text/html').send('<!doctype html><title>page</title>'))
      app.addHook('onSend', async ({ url }, reply) => {
        if (url === '/events') statuses.push(reply.statusCode)
      })
    }
  })
  const page = await browser.newPage()
  await page.goto(served.url)
  await page.evaluate(LISTEN)
  await page.waitForFunction('source.readyState === 1')
  served.app.sse.broadcastMessage('last words')
  arrivals.last.close({ reconnect: false })
  served.app.sse.broadcastMessage('unheard')
  await page.waitForFunction('source.readyState === 2')
  t.strictSame(await page.evaluate('heard'), ['last words'])
  t.strictSame(statuses, [200, 204])
})

t.test('a client that is closed reconnects, and misses nothing', async (t) => {
  const arrivals = new Arrivals()
  const served = await serve(t, { sse: { retry: 10, onConnect: arrivals.onConnect } })
  const browser = new Browser(t, `${served.url}/events`)
  await browser.waitForAnswers(1)
  served.app.sse.broadcastMessage('first')
  arrivals.last.close()
  served.app.sse.broadcastMessage('meanwhile')
  await browser.waitForData('meanwhile')
  arrivals.last.close({ reconnect: true })
  served.app.sse.broadcastMessage('again')
  await browser.waitForData('again')
  t.strictSame(browser.statuses, [200, 200, 200])
  t.strictSame(browser.data, ['first', 'meanwhile', 'again'])
})

t.test('disconnect ends the streams of the selected clients, and tells them to stay away if asked to', async (t) => {
  const served = await serve(t, {
    sse: {
      onConnect: (client, { headers }) => {
        client.state = { user: headers['x-user'] }
      }
    }
  })
  const readers: EventReader[] = []
  for (const user of ['7', '7', '42']) readers.push(await served.connect({ headers: { 'x-user': user } }))
  const [first, second, other] = readers as [EventReader, EventReader, EventReader]
  const { sse } = served.app
  const kick = (user: string, options?: CloseOptions) => sse.disconnect(({ state }) => state.user === user, options)
  t.equal(kick('nobody', { reconnect: false }), 0)
  sse.broadcastMessage('last words')
  t.equal(kick('7', { reconnect: false }), 2)
  t.equal(kick('7', { reconnect: false }), 0, 'they have gone')
  t.equal(sse.clientCount, 1)
  for (const reader of [first, second]) {
    await reader.waitForEnd()
    t.equal(reader.events[0]?.data, 'last words')
    t.equal((await served.connect({ lastEventId: reader.lastEventId })).status, 204)
  }
  sse.broadcastMessage('to who stayed')
  t.equal((await other.until(({ data }) => data !== 'last words')).data, 'to who stayed')
  t.equal(kick('42'), 1)
  await other.waitForEnd()
  const again = await served.connect({ lastEventId: other.lastEventId })
  t.equal(again.status, 200)
  t.strictSame(await heard(served, again), [[]])
})

t.test(
  'to stay away is said of the stream alone: a page, and a client with an id of its own, get theirs',
  async (t) => {
    const arrivals = new Arrivals()
    const served = await serve(t, { sse: { onConnect: arrivals.onConnect } })
    const reader = await served.connect()
    arrivals.last.close({ reconnect: false })
    await reader.waitForEnd()
    t.strictSame(reader.events, [{ id: 'stay-away', event: 'stay-away', data: '{}' }], 'and a page may listen for it')
    const { lastEventId } = reader
    const gone = await served.connect({ lastEventId })
    t.equal(gone.status, 204)
    t.equal((await served.connect({ query: { lastEventId } })).status, 204)
    t.equal((await served.connect()).status, 200)
    t.throws(() => served.app.sse.broadcast(1, { id: lastEventId }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
  }
)

t.test("a stream ends at expiresAt, and whether the client may reconnect is up to the app's hooks", async (t) => {
  let valid = true
  const reason = deferred<DisconnectReason>()
  const served = await serve(t, {
    sse: {
      retry: 10,
      route: {
        onRequest: async (_request, reply) => {
          if (!valid) return reply.code(401).send()
        }
      },
      onConnect: (client) => {
        client.expiresAt = new Date(Date.now() + 100)
        valid = false
      },
      onDisconnect: (_client, why) => reason.resolve(why)
    }
  })
  const browser = new Browser(t, `${served.url}/events`)
  await browser.waitForAnswers(1)
  served.app.sse.broadcastMessage('before')
  t.equal(await reason.promise, 'expired')
  await browser.waitForClosed()
  t.strictSame(browser.statuses, [200, 401])
  t.strictSame(browser.data, ['before'])
  t.match(served.app.sse.stats(), { disconnects: { expired: 1 } })
})

t.test('expiresAt can be postponed or removed; a date in the past ends the stream at once', async (t) => {
  const arrivals = new Arrivals()
  const served = await serve(t, { sse: { onConnect: arrivals.onConnect } })
  const readers = [await served.connect(), await served.connect(), await served.connect(), await served.connect()]
  const [putOff, takenBack, late, past] = arrivals.all
  const soon = () => new Date(Date.now() + 50)
  t.equal(late!.expiresAt, undefined)
  putOff!.expiresAt = soon()
  takenBack!.expiresAt = soon()
  const far = new Date(Date.now() + 1000 * 60 * 60 * 24 * 60)
  putOff!.expiresAt = far
  takenBack!.expiresAt = undefined
  t.equal(putOff!.expiresAt, far, 'further off than timers reach')
  late!.expiresAt = soon()
  past!.expiresAt = new Date(0)
  t.ok(past!.closed)
  await readers[3]!.waitForEnd()
  await readers[2]!.waitForEnd()
  served.app.sse.broadcastMessage('still here')
  t.equal((await readers[0]!.next()).data, 'still here')
  t.equal((await readers[1]!.next()).data, 'still here')
})

for (const value of [new Date(Number.NaN), 'tomorrow', Date.now() + 1000, null]) {
  t.test(`an expiry of ${typeof value} ${String(value).slice(0, 12)} is refused, and changes nothing`, async (t) => {
    const arrivals = new Arrivals()
    const served = await serve(t, { sse: { onConnect: arrivals.onConnect } })
    const reader = await served.connect()
    const client = arrivals.last
    const expiresAt = new Date(Date.now() + 3_600_000)
    client.expiresAt = expiresAt
    t.throws(
      () => {
        client.expiresAt = value as Date
      },
      { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: /client\.expiresAt/ }
    )
    t.equal(client.expiresAt, expiresAt)
    t.strictSame(await heard(served, reader), [[]])
  })
}

// -- the sender

t.test('except leaves out one client, even if others share its bytes', async (t) => {
  const arrivals = new Arrivals()
  const served = await serve(t, { sse: { authorizeTopics: () => true, shards: 1, onConnect: arrivals.onConnect } })
  const readers = [await served.connect(asksFor('room')), await served.connect(asksFor('room')), await served.connect()]
  const [sender] = arrivals.all
  const { sse } = served.app
  sse.broadcastMessage('1')
  sse.broadcastMessage('2', { except: sender!.id })
  sse.broadcastMessage('3', { topic: 'room', except: sender!.id })
  sse.broadcastMessage('4', { topic: 'room' })
  sse.broadcastMessage('5', { except: 'nobody' })
  t.strictSame(await heard(served, ...readers), [
    ['1', '4', '5'],
    ['1', '2', '3', '4', '5'],
    ['1', '2', '5']
  ])
  sse.broadcastMessage('6', { except: sender!.id })
  t.strictSame(await heard(served, ...readers), [
    ['1', '4', '5'],
    ['1', '2', '3', '4', '5', '6'],
    ['1', '2', '5', '6']
  ])
})

t.test('a page that sends its client id in a header does not get its own events', async (t) => {
  const served = await serve(t, {
    setup: (app) => {
      app.post('/say', async ({ headers, body }) => {
        app.sse.broadcast(body, { except: headers['x-sse-client'] as string | undefined })
        return {}
      })
    },
    sse: { onConnect: (client) => void client.send({ you: client.id }, { event: 'hello' }) }
  })
  const [speaker, listener] = [await served.connect(), await served.connect()]
  const say = (text: string, id?: string) =>
    fetch(`${served.url}/say`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(id !== undefined && { 'x-sse-client': id }) },
      body: JSON.stringify(text)
    })
  const { you } = JSON.parse((await speaker.next()).data)
  await say('mine', you)
  await say('nobody knows whose')
  await say('forged', 'not an id')
  const told = await heard(served, speaker, listener)
  t.strictSame(
    told.map((data) => data.slice(1)),
    [
      ['"nobody knows whose"', '"forged"'],
      ['"mine"', '"nobody knows whose"', '"forged"']
    ]
  )
})
