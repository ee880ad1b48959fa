import type { FastifyRequest } from 'fastify'
import t from 'tap'
import type { TopicGrant } from '../../lib/index.js'
import { bodyOf } from '../kit/answers.js'
import { serve } from '../kit/server.js'
import { Arrivals, asksFor, byUser, heard, tellEach } from '../kit/topics.js'

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
