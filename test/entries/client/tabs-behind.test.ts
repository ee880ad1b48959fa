import t from 'tap'
import { serve } from '../../kit/server.js'
import { SSE, Tabs } from '../../kit/tabs.js'

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
  const open = () => tabs.open(`${s.url}/events`, { fetch: heldBack, openTimeout: 500, lastEventId: 'gone-1' })
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
