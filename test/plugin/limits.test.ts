import t, { type Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { Browser } from '../kit/browser.js'
import { stopClock } from '../kit/clock.js'
import { gate } from '../kit/deferred.js'
import type { EventReader } from '../kit/event-reader.js'
import { type Served, serve } from '../kit/server.js'
import { Watch } from '../kit/watch.js'

interface Watched extends Served {
  /** Resolves once so many clients have gone. */
  waitForGone(n: number): Promise<true>
}

async function serveWatched(t: Test, sse: PylonSseOptions): Promise<Watched> {
  let gone = 0
  const watch = new Watch(() => `${gone} gone`)
  const onDisconnect = () => {
    gone++
    watch.changed()
  }
  const served = await serve(t, { sse: { onDisconnect, ...sse } })
  return { ...served, waitForGone: (n) => watch.until(() => gone >= n || undefined, `${n} clients to have gone`) }
}

const overLimits: [what: string, sse: PylonSseOptions, reason: string, status: number, code: string][] = [
  ['maxClientsPerIp', { maxClientsPerIp: 1 }, 'tooManyClients', 429, 'PYLON_SSE_ERR_TOO_MANY_CLIENTS'],
  ['maxClients', { maxClients: 1 }, 'serverFull', 503, 'PYLON_SSE_ERR_SERVER_FULL']
]

for (const [what, sse, reason, status, code] of overLimits) {
  t.test(`past ${what} a request gets ${status}, and is told when to retry`, async (t) => {
    const served = await serveWatched(t, { ...sse, overLimit: 'status', retry: 10_000 })
    const first = await served.connect()
    const seconds = new Set<string | null>()
    for (let i = 0; i < 30; i++) {
      const refused = await served.connect()
      await refused.waitForEnd()
      t.equal(refused.status, status)
      t.match(JSON.parse(refused.body), { statusCode: status, code })
      seconds.add(refused.headers.get('retry-after'))
    }
    for (const value of seconds) t.match(value, /^1\d$|^20$/, 'once to twice the reconnection time')
    t.ok(seconds.size > 1, 'not the same for all')
    t.match(served.app.sse.stats(), { connected: 1, rejected: { [reason]: 30 } })
    await first.close()
    await served.waitForGone(1)
    t.equal((await served.connect()).status, 200)
  })

  t.test(`past ${what}, with overLimit 'retry', a stream is 200, a jittered retry, and the end`, async (t) => {
    const served = await serveWatched(t, { ...sse, overLimit: 'retry', retry: 10_000 })
    await served.connect()
    const retries: number[] = []
    for (let i = 0; i < 30; i++) {
      const refused = await served.connect()
      await refused.waitForEnd()
      t.equal(refused.status, 200)
      t.equal(refused.headers.get('content-type'), 'text/event-stream')
      t.equal(refused.headers.get('access-control-allow-origin'), '*')
      t.match(refused.body, /^retry: \d+\n$/, 'and nothing else, least of all a cursor')
      retries.push(...refused.retries)
    }
    t.ok(Math.min(...retries) >= 10_000 && Math.max(...retries) <= 20_000)
    t.ok(new Set(retries).size > 15, 'spread')
    t.match(served.app.sse.stats(), { connected: 1, accepted: 1, rejected: { [reason]: 30 } })
  })

  t.test(
    `past ${what}, with overLimit 'retry', an EventSource comes back, and gets in when there is room`,
    async (t) => {
      const served = await serveWatched(t, { ...sse, overLimit: 'retry', retry: 10 })
      const first = await served.connect()
      const browser = new Browser(t, `${served.url}/events`)
      await browser.waitForAnswers(4)
      served.app.sse.broadcastMessage('before')
      t.equal(served.app.sse.clientCount, 1)
      await first.close()
      await served.waitForGone(1)
      let n = 0
      while (served.app.sse.clientCount === 0) await browser.waitForAnswers(4 + ++n)
      served.app.sse.broadcastMessage('in')
      await browser.waitForData('in')
      t.strictSame(browser.data, ['in'])
      t.strictSame(new Set(browser.statuses), new Set([200]))
    }
  )
}

t.test("an EventSource that reconnects over a limit resumes once it is admitted, with overLimit 'retry'", async (t) => {
  const held = gate()
  const served = await serveWatched(t, {
    maxClients: 1,
    overLimit: 'retry',
    retry: 10,
    route: { onRequest: async ({ headers }) => (headers['last-event-id'] === undefined ? undefined : held.pass()) }
  })
  const browser = new Browser(t, `${served.url}/events`)
  await browser.waitForAnswers(1)
  served.app.sse.broadcastMessage('1')
  await browser.waitForData('1')
  const [client] = served.app.sse.clients
  client!.close()
  await held.reached
  const other = await served.connect()
  t.equal(other.headers.get('content-length'), null, 'it has the place now')
  held.open()
  await browser.waitForAnswers(3)
  served.app.sse.broadcastMessage('2')
  await other.next()
  await other.close()
  await browser.waitForData('2')
  t.strictSame(browser.data, ['1', '2'])
})

t.test("a JSON page over a limit is refused with the status, also with overLimit 'retry'", async (t) => {
  const served = await serve(t, { sse: { maxClientsPerIp: 1, overLimit: 'retry' } })
  await served.connect()
  const page = await served.connect({ headers: { accept: 'application/json' } })
  t.equal(page.status, 429)
  t.match(page.headers.get('retry-after'), /^\d$/)
})

t.test('maxClients counts clients that have not received their headers yet', async (t) => {
  const held = gate()
  const served = await serve(t, {
    sse: {
      maxClients: 1,
      overLimit: 'status',
      maxClientsPerIp: false,
      route: {
        onSend: async ({ url }, _reply, payload) => {
          if (url.includes('held')) await held.pass()
          return payload
        }
      }
    }
  })
  const waiting = await served.connect({ path: '/events?held', waitForHead: false })
  await held.reached
  t.equal(served.app.sse.clientCount, 0)
  t.equal((await served.connect()).status, 503)
  held.open()
  await waiting.head()
  t.equal(waiting.status, 200)
  t.equal((await served.connect()).status, 503)
})

// -- by user

const byUser: PylonSseOptions = {
  limitBy: ({ headers }) => headers['x-user'] as string | undefined,
  maxClientsPerIp: 2,
  overLimit: 'status'
}

function openAs({ connect }: Served, user: string | undefined, localAddress = '127.0.0.1') {
  return connect({ headers: { 'x-user': user }, localAddress })
}

t.test('limitBy counts by user, whatever the addresses', async (t) => {
  const served = await serveWatched(t, byUser)
  const [first] = [await openAs(served, 'a', '127.0.0.2'), await openAs(served, 'a', '127.0.0.3')]
  t.equal((await openAs(served, 'a', '127.0.0.4')).status, 429)
  t.equal((await openAs(served, 'b', '127.0.0.2')).status, 200)
  t.equal((await openAs(served, 'b', '127.0.0.2')).status, 200)
  t.equal((await openAs(served, 'b', '127.0.0.2')).status, 429)
  await first!.close()
  await served.waitForGone(1)
  t.equal((await openAs(served, 'a', '127.0.0.4')).status, 200)
  t.equal((await openAs(served, 'a', '127.0.0.4')).status, 429)
})

t.test('a request for which limitBy returns nothing is not limited', async (t) => {
  const served = await serve(t, { sse: byUser })
  for (const user of [undefined, undefined, undefined, '', '', '']) t.equal((await openAs(served, user)).status, 200)
})

t.test('a limitBy that returns no string, for example a promise, is refused', async (t) => {
  const late = async () => Promise.reject(new Error('late'))
  for (const limitBy of [async () => 'user', late, () => 7] as unknown as (() => string)[]) {
    const served = await serve(t, { sse: { limitBy } })
    const refused = await served.connect()
    t.equal(refused.status, 500)
    await refused.waitForEnd()
    t.match(JSON.parse(refused.body), { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: /^Option 'limitBy'/ })
  }
})

t.test("if limitBy throws, Fastify's error handler responds, and no slot is held", async (t) => {
  const limitBy = ({ headers }: { headers: Record<string, unknown> }) => {
    if (headers['x-user'] === undefined) throw Object.assign(new Error('who?'), { statusCode: 401 })
    return 'everyone'
  }
  const served = await serve(t, {
    sse: { limitBy, maxClientsPerIp: 1, overLimit: 'status', authorizeTopics: () => true }
  })
  for (const path of ['/events', '/events?topic=a']) {
    const refused = await served.connect({ path })
    t.equal(refused.status, 401)
    await refused.waitForEnd()
    t.equal(JSON.parse(refused.body).message, 'who?')
  }
  t.equal((await openAs(served, 'a')).status, 200)
  t.equal((await openAs(served, 'a')).status, 429)
})

t.test('limitBy sees what hooks have set on the request', async (t) => {
  const served = await serve(t, {
    setup: (app) => app.decorateRequest('user', ''),
    sse: {
      maxClientsPerIp: 1,
      overLimit: 'status',
      limitBy: (request) => (request as unknown as { user: string }).user,
      route: {
        preHandler: async (request) => {
          ;(request as unknown as { user: string }).user = (request.query as { token: string }).token
        }
      }
    }
  })
  const open = async (token: string) => (await served.connect({ query: { token } })).status
  t.strictSame([await open('a'), await open('b'), await open('a'), await open('b')], [200, 200, 429, 429])
})

// -- age

t.test('a stream ends at maxConnectionAge or up to a fifth earlier, not all at once', async (t) => {
  const AGE = 6400
  const clock = stopClock(t)
  const served = await serveWatched(t, { maxConnectionAge: AGE, keepAliveInterval: AGE / 10, maxClientsPerIp: false })
  const readers: EventReader[] = []
  for (let i = 0; i < 60; i++) readers.push(await served.connect())
  clock.advance(0.799 * AGE)
  for (const reader of readers) await reader.waitForComment('keepalive')
  t.match(served.app.sse.stats(), { disconnects: { aged: 0 } }, 'all were looked after, and none is old')
  clock.advance(0.101 * AGE)
  await Promise.all(readers.map((reader) => Promise.race([reader.waitForEnd(), reader.waitForComment('keepalive', 2)])))
  const early = served.app.sse.stats().disconnects.aged
  t.ok(early > 5 && early < 55, `${early} of 60 by nine tenths`)
  clock.advance(0.1 * AGE)
  for (const reader of readers) await reader.waitForEnd()
  t.match(served.app.sse.stats(), { connected: 0, disconnects: { aged: 60 } })
  for (const reader of readers) t.strictSame(reader.events, [])
})

t.test('clients whose streams end at maxConnectionAge resume, and miss nothing', async (t) => {
  const served = await serveWatched(t, { maxConnectionAge: 100, retry: 5 })
  const browsers = [new Browser(t, `${served.url}/events`), new Browser(t, `${served.url}/events`)]
  for (const browser of browsers) await browser.waitForAnswers(1)
  const LAST = 400
  for (let n = 1; browsers.some((browser) => browser.answers.length < 4) || n <= LAST; n++) {
    served.app.sse.broadcastMessage(`${n}`)
    if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    if (n > 50 * LAST) break
  }
  const last = `${served.app.sse.stats().events}`
  for (const browser of browsers) {
    await browser.waitForData(last)
    t.strictSame(
      browser.data,
      Array.from({ length: Number(last) }, (_, i) => `${i + 1}`)
    )
    t.ok(browser.answers.length >= 4)
    t.notOk(browser.messages.some(({ type }) => type === 'resync'))
  }
})

t.test('without maxConnectionAge no stream is ended for its age', async (t) => {
  const clock = stopClock(t)
  const served = await serve(t, { sse: { keepAliveInterval: 640 } })
  const reader = await served.connect()
  clock.advance(1000 * 60 * 60 * 24 * 365)
  await reader.waitForComment('keepalive')
  t.notOk(reader.ended)
})
