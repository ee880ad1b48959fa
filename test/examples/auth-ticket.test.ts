import type { Socket } from 'node:net'
import t from 'tap'
import { launchChromium } from '../kit/chromium.js'
import { LogLines } from '../kit/log-lines.js'
import { Recipes } from '../kit/recipes.js'
import type { Served } from '../kit/server.js'
import { ann, claims, forbidden, heard, refused, seconds, serveRecipe, tellEach, tokenOf } from '../kit/tokens.js'
import { asksFor } from '../kit/topics.js'

async function ticketOf({ url }: Served, token = ann()): Promise<string> {
  const answer = await fetch(`${url}/ticket`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })
  if (answer.status !== 200) throw new Error(`no ticket: ${answer.status}`)
  return ((await answer.json()) as { ticket: string }).ticket
}

/** Comes with a ticket, or with several. */
function withTicket(ticket: string | undefined, ...topics: string[]): { path: string } {
  const { path } = asksFor(...topics)
  return { path: ticket === undefined ? path : `${path}&ticket=${ticket}` }
}

t.test('auth-ticket: a ticket opens one stream, of the topics of its user alone', async (t) => {
  const { served } = await serveRecipe(t, 'auth-ticket')
  const ticket = await ticketOf(served)
  t.match(ticket, /^[\w-]{43}$/, '32 random bytes')
  t.not(await ticketOf(served), ticket)
  const reader = await served.connect(withTicket(ticket, 'user.ann', ...forbidden))
  t.equal(reader.status, 200)
  t.equal(await reader.waitForId(), reader.lastEventId, 'the page has its place from the beginning')
  for (const method of ['GET', 'HEAD']) {
    const second = await served.connect({ ...withTicket(ticket, 'user.ann'), method })
    t.equal(second.status, 401, `${method}, a second time`)
  }
  const accept = 'application/json'
  t.equal((await served.connect({ ...withTicket(ticket, 'user.ann'), headers: { accept } })).status, 401, 'nor a page')
  tellEach(served, 'user.bob', 'user.ann')
  t.strictSame(await heard(served, reader), [['user.ann']])
  const [client] = served.app.sse.clients
  t.strictSame(client!.state, { user: 'ann' })
  t.type(client!.expiresAt, Date)
})

t.test('auth-ticket: a request without a fresh ticket gets 401', async (t) => {
  const { served } = await serveRecipe(t, 'auth-ticket')
  const [one, two] = [await ticketOf(served), await ticketOf(served)]
  for (const [what, ticket] of Object.entries({
    'no ticket': undefined,
    'an empty one': '',
    'a guess': 'A'.repeat(43),
    'the token itself': ann(),
    'two at once': `${one}&ticket=${two}`,
    'a name that every object has': 'constructor'
  })) {
    t.equal((await served.connect(withTicket(ticket, 'user.ann'))).status, 401, what)
  }
  const bearer = { ...asksFor('user.ann'), headers: { authorization: `Bearer ${ann()}` } }
  t.equal((await served.connect(bearer)).status, 401, 'the token in its header')
  const raced = await Promise.all([1, 2, 3].map(() => served.connect(withTicket(one, 'user.ann'))))
  t.strictSame(raced.map(({ status }) => status).sort(), [200, 401, 401], 'of three at once one gets in')
  t.match(served.app.sse.stats(), { accepted: 1 })
})

t.test('auth-ticket: a ticket that is used for a topic of another user opens nothing, and is used up', async (t) => {
  const { served } = await serveRecipe(t, 'auth-ticket')
  for (const topic of forbidden) {
    const ticket = await ticketOf(served, tokenOf(claims('ann')))
    t.equal((await served.connect(withTicket(ticket, topic))).status, 403, topic)
    t.equal((await served.connect(withTicket(ticket, 'user.ann'))).status, 401, 'a second time')
  }
})

t.test('auth-ticket: only a client with a valid token gets a ticket', async (t) => {
  const { served } = await serveRecipe(t, 'auth-ticket')
  t.equal((await fetch(`${served.url}/ticket`, { method: 'POST' })).status, 401)
  for (const [what, token] of Object.entries(refused)) {
    await t.rejects(ticketOf(served, token()), { message: 'no ticket: 401' }, what)
  }
})

t.test('auth-ticket: a ticket is good for half a minute, and not longer than the token', async (t) => {
  const { served } = await serveRecipe(t, 'auth-ticket')
  let later = 0
  // It stands still, so that no ticket ages by what the machine takes.
  const start = Date.now()
  t.intercept(Date, 'now', { value: () => start + later })
  const tickets = [await ticketOf(served), await ticketOf(served)]
  const short = await ticketOf(served, tokenOf({ sub: 'ann', exp: seconds() + 20 }))
  later = 20_000
  t.equal((await served.connect(withTicket(short, 'user.ann'))).status, 401)
  later = 29_000
  t.equal((await served.connect(withTicket(tickets[0], 'user.ann'))).status, 200)
  later = 30_500
  t.equal((await served.connect(withTicket(tickets[1], 'user.ann'))).status, 401)
})

t.test('auth-ticket/tickets.js: tickets that are never used are forgotten', async (t) => {
  const { Tickets } = await (await Recipes.of(t, 'auth-ticket')).load<{ Tickets: TicketsClass }>('tickets.js')
  type TicketsClass = new (
    lifetime?: number
  ) => { issue(user: object): string; redeem(ticket: string): object | undefined }
  let now = 0
  t.intercept(Date, 'now', { value: () => now })
  const sizes: number[] = []
  const set = Map.prototype.set
  t.intercept(Map.prototype, 'set', {
    value(this: Map<unknown, unknown>, key: unknown, value: { until?: number }) {
      set.call(this, key, value)
      if (value?.until !== undefined) sizes.push(this.size)
      return this
    }
  })
  const tickets = new Tickets(10)
  const user = { sub: 'ann', exp: 1000 }
  for (now = 0; now < 100; now++) tickets.issue(user)
  t.equal(sizes.length, 100)
  t.equal(Math.max(...sizes), 10)
  const [one, other] = [tickets.issue(user), tickets.issue({ sub: 'bob', exp: 1000 })]
  t.equal(tickets.redeem(one), user)
  t.equal(tickets.redeem(one), undefined)
  t.match(tickets.redeem(other), { sub: 'bob' })
})

t.test('auth-ticket/logger.js: no ticket gets into the log', async (t) => {
  const logs = new LogLines()
  const { logger } = await (await Recipes.of(t, 'auth-ticket')).load<{ logger: object }>('logger.js')
  const { served } = await serveRecipe(t, 'auth-ticket', {
    fastify: { logger: { ...logger, level: 'trace', stream: logs } }
  })
  const ticket = await ticketOf(served)
  const reader = await served.connect(withTicket(ticket, 'user.ann'))
  t.equal(reader.status, 200)
  t.equal((await served.connect({ path: `/events?ticket=${ticket}&topic=user.ann` })).status, 401)
  await reader.close()
  await logs.waitFor('SSE: client disconnected')
  const text = JSON.stringify(logs.lines)
  t.notMatch(text, ticket)
  t.match(text, '/events?topic=user.ann&ticket=***')
  t.match(text, '/events?ticket=***&topic=user.ann')
  t.match(
    logs.lines.find((line) => 'req' in line),
    { req: { method: 'POST', url: '/ticket', remoteAddress: '127.0.0.1' } }
  )
})

const PAGE = `<!doctype html><title>page</title><script type="module">
  import { live } from '/live.js'
  Object.assign(window, { heard: [], opened: 0, ended: [] })
  live('/events', {
    getToken: () => token,
    topics: ['user.ann'],
    on: {
      connected: () => opened++,
      message: (data) => heard.push(data),
      resync: () => heard.push('resync')
    },
    onEnd: (reason) => ended.push(reason),
    delay: 20
  })
</script>`

t.test('auth-ticket/live.js: a page in a browser misses nothing, however often its connection is cut', async (t) => {
  const browser = await launchChromium(t)
  if (browser === undefined) return
  const answers: [url: string, status: number][] = []
  const streams = new Set<Socket>()
  let code = ''
  const { recipes, served } = await serveRecipe(t, 'auth-ticket', {
    setup: (app) => {
      app.get('/', async (_request, reply) => reply.type('text/html').send(PAGE))
      app.get('/live.js', async (_request, reply) => reply.type('text/javascript').send(code))
      app.addHook('onSend', async ({ url, raw }, reply) => {
        if (url.startsWith('/events')) streams.add(raw.socket)
        answers.push([url, reply.statusCode])
      })
    }
  })
  code = recipes.files['live.js']!
  const page = await browser.newPage()
  await page.addInitScript(`token = ${JSON.stringify(ann())}`)
  await page.goto(served.url)

  let sent = 0
  const send = (count: number) => {
    for (const end = sent + count; sent < end; ) {
      served.app.sse.broadcast(++sent, sent % 2 === 0 ? { topic: 'user.ann' } : {})
      served.app.sse.broadcast('not for her', { topic: 'user.bob' })
    }
  }
  const cut = () => {
    for (const socket of streams) socket.destroy()
    streams.clear()
  }
  const opened = (times: number) => page.waitForFunction(`opened >= ${times}`)
  const hasHeard = () => page.waitForFunction(`heard.length >= ${sent}`)
  const CUTS = 5
  for (let visit = 1; visit <= CUTS; visit++) {
    await opened(visit)
    // The first time it is cut before it has heard anything at all.
    if (visit > 1) send(3)
    if (visit % 2 === 0) await hasHeard()
    cut()
    send(3)
    await hasHeard()
  }
  await opened(CUTS + 1)
  t.strictSame(
    await page.evaluate('heard'),
    Array.from({ length: sent }, (_, i) => i + 1)
  )
  const tickets = answers.flatMap(([url]) => new URL(url, served.url).searchParams.get('ticket') ?? [])
  t.equal(tickets.length, CUTS + 1)
  t.equal(new Set(tickets).size, tickets.length, 'with a ticket of its own each time')
  t.ok(
    answers.every(([, status]) => status === 200 || status === 404),
    'and never refused'
  )

  await page.evaluate("token = 'over'")
  cut()
  await page.waitForFunction('ended.length === 1')
  t.strictSame(await page.evaluate('ended'), [401])
  t.strictSame(answers.at(-1), ['/ticket', 401])
  t.equal(served.app.sse.clientCount, 0)
})
