import t from 'tap'
import { matches } from '../../../lib/entries/client/match.js'
import { serve } from '../../kit/server.js'
import { SSE, Tabs } from '../../kit/tabs.js'

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
  'topics that the server subscribes the shared client to reach all tabs, even if one of them has requested the topic',
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

t.test('the topics of a route reach all tabs, even if one of them has requested the topic', async (t) => {
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

t.test('direct sends, and more events than tabs keep, reach all tabs', async (t) => {
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

t.test('tabs of another login have another connection', async (t) => {
  const s = await serve(t, { sse: SSE })
  const tabs = new Tabs(t)
  const ann = await tabs.open(`${s.url}/events`, { sharedKey: 'ann' })
  const bob = await tabs.open(`${s.url}/events`, { sharedKey: 'bob' })
  t.strictSame([ann.role, bob.role, s.app.sse.clientCount], ['leader', 'leader', 2])
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
