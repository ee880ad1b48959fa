import t from 'tap'
import { matches } from '../../../lib/entries/client/match.js'
import { answering, CONNECTED, status, stream } from '../../kit/live.js'
import { serve } from '../../kit/server.js'
import { Tabs } from '../../kit/tabs.js'

const SSE = { retry: 10, authorizeTopics: () => true } as const

t.test('tabs share one connection, each with its own topics, state and callbacks', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const loads: string[] = []
  const open = (topic: string) =>
    tabs.open(`${s.url}/events`, { topics: [topic], load: ({ reason }) => loads.push(`${topic} ${reason}`) as never })
  const a = await open('a')
  const b = await open('b.*')
  t.strictSame([a.role, b.role, s.app.sse.clientCount], ['leader', 'follower', 1])
  t.equal(a.live.connection.clientId, b.live.connection.clientId)
  for (const client of s.app.sse.clients) client.subscribe('given')
  for (const topic of ['a', 'b.1', 'given', undefined]) s.app.sse.broadcast(topic ?? 'all', { topic })
  t.strictSame(await a.live.take(3), ['a', 'given', 'all'])
  t.strictSame(await b.live.take(3), ['b.1', 'given', 'all'])
  t.equal(a.live.connection.lastEventId, b.live.connection.lastEventId)
  t.strictSame(loads, ['a connect', 'b.* connect'])

  b.live.connection.topics.add('c')
  for (const topic of ['b.2', 'c']) s.app.sse.broadcast(topic, { topic })
  t.strictSame((await b.live.take(5)).slice(3), ['b.2', 'c'], 'a topic that is added misses nothing')
  a.live.connection.topics.delete('a')
  s.app.sse.broadcast('last')
  await a.live.until('last')
  t.strictSame(loads, ['a connect', 'b.* connect'])
  t.strictSame([a.live.errors, b.live.errors], [[], []])
})

t.test(
  'when the leading tab is closed, crashes or is frozen, another goes on: nothing is lost, nothing comes twice',
  async (t) => {
    const s = await serve(t, { sse: SSE })
    const tabs = new Tabs(t)
    const open = () => tabs.open(`${s.url}/events`, { topics: ['a'] })
    const [first, second, third, last] = [await open(), await open(), await open(), await open()]
    s.app.sse.broadcast(1)
    for (const { live } of [second, third, last]) await live.until(1)
    first.live.connection.close()
    s.app.sse.broadcast(2)
    for (const { live } of [second, third, last]) await live.until(2)
    second.crash()
    s.app.sse.broadcast(3)
    for (const { live } of [third, last]) await live.until(3)
    third.freeze()
    s.app.sse.broadcast(4)
    await last.live.until(4)
    t.equal(last.role, 'leader')
    third.thaw()
    s.app.sse.broadcast(5)
    await third.live.until(5)
    t.equal(third.role, 'follower')
    t.strictSame(third.live.data, [1, 2, 3, 4, 5])
    t.strictSame(last.live.data, [1, 2, 3, 4, 5])
    t.equal(s.app.sse.clientCount, 1)
  }
)

t.test('a leading tab that does not respond loses the lead', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const { setInterval } = globalThis
  t.intercept(globalThis, 'setInterval', {
    value: (look: () => void, ms: number) => setInterval(look, ms === 3000 ? 30 : ms)
  })
  const [first, second] = [await tabs.open(`${s.url}/events`), await tabs.open(`${s.url}/events`)]
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.strictSame([first.role, second.role], ['leader', 'follower'], 'one that answers keeps it')
  first.isSilent = true
  s.app.sse.broadcast(1)
  await second.live.until(1)
  t.equal(second.role, 'leader')
  first.isSilent = false
  s.app.sse.broadcast(2)
  for (const { live } of [first, second]) await live.until(2)
  t.strictSame(second.live.data, [1, 2])
  t.strictSame(first.live.data, [1, 2])
})

t.test('a tab that is behind gets the missing events, or is told that events are missing', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const [first, second, third] = [
    await tabs.open(`${s.url}/events`),
    await tabs.open(`${s.url}/events`),
    await tabs.open(`${s.url}/events`)
  ]
  third.freeze()
  s.app.sse.broadcast(1)
  for (const { live } of [first, second]) await live.until(1)
  first.crash()
  await second.live.status('open', second.live.statuses.length)
  third.thaw()
  t.strictSame(await third.live.take(1), [1])
  third.freeze()
  s.app.sse.broadcast('meanwhile')
  await second.live.until('meanwhile')
  // What comes with a new topic makes all that came before incomplete.
  second.live.connection.topics.add('new')
  s.app.sse.broadcast(2)
  await second.live.until(2)
  third.thaw()
  await third.live.take(2)
  t.match(third.live.events[1], { event: 'resync', data: { reason: 'unknown', missed: null } })
  s.app.sse.broadcast(3)
  for (const { live } of [second, third]) await live.until(3)
  t.equal(third.live.events.length, 3)

  const late = await tabs.open(`${s.url}/events`, { lastEventId: 'gone-1' })
  await late.live.take(1)
  t.match(late.live.events[0], { event: 'resync' })
})

t.test(
  'what the server subscribes the one client to comes to all tabs, though one of them asks for it, too',
  async (t) => {
    const s = await serve(t, { sse: { ...SSE, onConnect: (client) => client.subscribe('for all') } })
    const tabs = new Tabs(t)
    const first = await tabs.open(`${s.url}/events`)
    const second = await tabs.open(`${s.url}/events`, { topics: ['for all', 'later.1', 'own'] })
    const topics = ['for all', 'later.1', 'own']
    let end = 0
    /** What the tab hears that has asked for nothing. */
    const say = async () => {
      const before = first.live.data.length
      for (const topic of topics) s.app.sse.broadcast(topic, { topic })
      s.app.sse.broadcast(++end)
      for (const { live } of [first, second]) await live.until(end)
      return first.live.data.slice(before, -1)
    }
    t.strictSame(await say(), ['for all'])
    const [client] = s.app.sse.clients
    for (const topic of ['later.*', 'later.*']) client!.subscribe(topic)
    t.strictSame(await say(), ['for all', 'later.1'])
    client!.unsubscribe('later.*')
    t.strictSame(await say(), ['for all'])
    t.strictSame(
      second.live.data,
      [1, 2, 3].flatMap((n) => [...topics, n]),
      'the one that asks hears each once'
    )
    t.equal(s.app.sse.clientCount, 1)
  }
)

t.test('the topics of a route come to all tabs, though one of them asks for one, too', async (t) => {
  const s = await serve(t, {
    sse: { retry: 10 },
    setup: (app) => app.get('/room', (request, reply) => app.sse.stream(request, reply, { topics: ['room.1'] }))
  })
  const tabs = new Tabs(t)
  const first = await tabs.open(`${s.url}/room`)
  const second = await tabs.open(`${s.url}/room`, { topics: ['room.1'] })
  for (const topic of ['room.1', undefined]) s.app.sse.broadcast(topic ?? 'all', { topic })
  for (const { live } of [first, second]) t.strictSame(await live.take(2), ['room.1', 'all'])
})

t.test('the topics of a closed tab do not reach other tabs', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const first = await tabs.open(`${s.url}/events`, { topics: ['a'] })
  const second = await tabs.open(`${s.url}/events`, { topics: ['b'] })
  second.live.connection.close()
  // When the first one has heard that, it knows the second one's topics no more.
  const third = await tabs.open(`${s.url}/events`, { topics: ['a'] })
  for (const topic of ['b', 'a']) s.app.sse.broadcast(topic, { topic })
  t.strictSame(await first.live.take(1), ['a'])
  t.strictSame(await third.live.take(1), ['a'])
  t.equal(s.app.sse.clientCount, 1)
})

t.test('a tab that was frozen, and has a topic that no other tab has, comes back without a resync', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const first = await tabs.open(`${s.url}/events`, { topics: ['a'] })
  const second = await tabs.open(`${s.url}/events`, { topics: ['own'] })
  const before = first.live.statuses.length
  second.freeze()
  // When the first one has heard that, it knows the second one's topics no more.
  const third = await tabs.open(`${s.url}/events`, { topics: ['a'] })
  for (const topic of ['own', 'a']) s.app.sse.broadcast(topic, { topic })
  await third.live.until('a')
  second.thaw()
  s.app.sse.broadcast('last')
  for (const { live } of [first, second, third]) await live.until('last')
  t.strictSame(second.live.data, ['own', 'last'])
  t.strictSame(first.live.data, ['a', 'last'])
  t.equal(first.live.statuses.length, before, 'the connection has not been made anew')
})

t.test('a frozen tab is told if its topic was not subscribed to meanwhile', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const first = await tabs.open(`${s.url}/events`, { topics: ['a'] })
  const second = await tabs.open(`${s.url}/events`, { topics: ['own'] })
  s.app.sse.broadcast(1)
  for (const { live } of [first, second]) await live.until(1)
  second.freeze()
  const third = await tabs.open(`${s.url}/events`, { topics: ['a'] })
  const opened = first.live.states.filter((state) => state === 'open').length
  for (const client of s.app.sse.clients) client.close()
  await first.live.opened(opened + 1)
  for (const topic of ['own', undefined]) s.app.sse.broadcast('meanwhile', { topic })
  await third.live.until('meanwhile')
  second.thaw()
  await second.live.take(2)
  s.app.sse.broadcast('last')
  for (const { live } of [first, second, third]) await live.until('last')
  t.strictSame(
    second.live.events.map(({ event, data }) => (event === 'resync' ? event : data)),
    [1, 'resync', 'last']
  )
})

t.test('a tab that is ahead of the leading one is told so, and then gets all later events', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const first = await tabs.open(`${s.url}/events`)
  const second = await tabs.open(`${s.url}/events`)
  first.freeze()
  for (const n of [1, 2]) s.app.sse.broadcast(n)
  await second.live.until(2)
  const third = await tabs.open(`${s.url}/events`)
  s.app.sse.broadcast(3)
  t.strictSame(await third.live.take(1), [3])
  third.freeze()
  second.crash()
  first.thaw()
  third.thaw()
  t.strictSame(await first.live.take(3), [1, 2, 3])
  s.app.sse.broadcast(4)
  await third.live.until(4)
  t.strictSame([first.role, third.role], ['leader', 'follower'])
  t.strictSame(third.live.data, [3, { reason: 'unknown', missed: null }, 1, 2, 3, 4])
})

t.test('tabs can join while the leading one reads pages, and start with a resync', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const heldBack = (url: string, init: RequestInit): Promise<Response> => {
    if (new Headers(init.headers).get('accept') === 'application/json') return fetch(url, init)
    return new Promise((_, reject) => init.signal!.addEventListener('abort', () => reject(init.signal!.reason)))
  }
  const open = () => tabs.open(`${s.url}/events`, { fetch: heldBack, openTimeout: 50, lastEventId: 'gone-1' })
  const first = await open()
  const second = await open()
  await second.live.take(1)
  for (const { live } of [first, second]) t.match(live.connection.status, { state: 'open', transport: 'pages' })
  s.app.sse.broadcast('after')
  for (const { live } of [first, second]) {
    t.strictSame(await live.take(2), [live.data[0], 'after'])
    t.match(live.events[0], { event: 'resync' })
  }
})

t.test('what is sent to the one client, and more than tabs keep, comes to all of them', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const [first, second] = [await tabs.open(`${s.url}/events`), await tabs.open(`${s.url}/events`)]
  for (const client of s.app.sse.clients) client.send('to one')
  for (let i = 0; i < 1100; i++) s.app.sse.broadcast(i)
  t.equal((await first.live.take(1101))[0], 'to one')
  t.equal((await second.live.take(1101))[0], 'to one')
  second.freeze()
  for (const client of s.app.sse.clients) client.close()
  await first.live.opened(2)
  second.thaw()
  s.app.sse.broadcast('last')
  for (const { live } of [first, second]) await live.until('last')
  for (const client of s.app.sse.clients) client.close()
  await second.live.status('waiting', second.live.statuses.length)
})

t.test('patterns match as on the server', async (t) => {
  for (const [pattern, topic, isMatch] of [
    ['a.*', 'a.b', true],
    ['a.*', 'a.b.c', false],
    ['a.*', 'b.b', false],
    ['a.**', 'a', true],
    ['a.**', 'a.b.c', true],
    ['a.**', 'b', false],
    ['**', 'a.b', true]
  ] as const) {
    t.equal(matches([pattern], topic), isMatch, `${pattern} ${topic}`)
  }
})

t.test('all tabs see that the connection has failed, and the leading one is told why', async (t) => {
  const s = await answering(t, stream(CONNECTED), status(500))
  const tabs = new Tabs(t)
  const [first, second] = [await tabs.open(`${s.url}/events`), await tabs.open(`${s.url}/events`)]
  first.live.connection.topics.add('new')
  t.match(await first.live.failed(), { status: 500 })
  t.match((await second.live.status('waiting')).error, /500/)
  t.strictSame(second.live.errors, [])
})

t.test('tabs of another login have another connection', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const ann = await tabs.open(`${s.url}/events`, { sharedKey: 'ann' })
  const bob = await tabs.open(`${s.url}/events`, { sharedKey: 'bob' })
  t.strictSame([ann.role, bob.role, s.app.sse.clientCount], ['leader', 'leader', 2])
})

t.test('the end of the connection reaches all tabs, and so does the news of missed events', async (t) => {
  const resync = 'id: b\nevent: resync\ndata: {"reason":"overflow","missed":2}\n\n'
  const s = await answering(t, stream(CONNECTED.replace('id: a\n', '') + resync), status(404))
  const tabs = new Tabs(t)
  const first = await tabs.open(`${s.url}/events`)
  await first.live.take(1)
  const second = await tabs.open(`${s.url}/events`)
  t.equal(second.role, 'follower')
  first.live.connection.topics.add('new')
  const ends = await Promise.all([first.live.status('closed'), second.live.status('closed')])
  t.match(ends, [
    { reason: 'refused', error: { status: 404 } },
    { reason: 'refused', error: /404/ }
  ])
  first.thaw()
  second.live.connection.close()
})

t.test('if locks are missing or forbidden, each tab has its own connection', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  t.intercept(Tabs.prototype, 'query', { value: () => Promise.reject(new Error('forbidden')) })
  const first = await tabs.open(`${s.url}/events`)
  t.intercept(globalThis, 'setTimeout', { value: setTimeout })
  const second = await tabs.open(`${s.url}/events`)
  t.strictSame([first.role, second.role, s.app.sse.clientCount], [undefined, undefined, 2])
})

t.test('a tab can be closed at any time', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const opening = tabs.open(`${s.url}/events`)
  const controller = new AbortController()
  controller.abort()
  const aborted = await tabs.open(`${s.url}/events`, { signal: controller.signal })
  t.equal(aborted.live.connection.status.state, 'closed')
  const first = await opening
  const second = await tabs.open(`${s.url}/events`)
  second.live.connection.topics.add('a')
  second.live.connection.close()
  first.live.connection.topics.add('a')
  first.live.connection.close()
  // While it asks for the topics of the others.
  const hasty = new Tabs(t)
  const closing = new AbortController()
  let asked = 0
  t.intercept(hasty, 'query', {
    value: async () => {
      if (++asked === 2) closing.abort()
      return {}
    }
  })
  const third = await hasty.open(`${s.url}/events`, { signal: closing.signal })
  t.equal(third.live.connection.status.state, 'closed')
  t.strictSame([first.live.connection.status.state, second.live.connection.status.state], ['closed', 'closed'])
})
