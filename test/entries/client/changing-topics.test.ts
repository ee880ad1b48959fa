import t, { type Test } from 'tap'
import type { TopicChange } from '../../../lib/entries/client/client.js'
import { gate } from '../../kit/deferred.js'
import { Live } from '../../kit/live.js'
import { type Served, serve } from '../../kit/server.js'
import { Tabs } from '../../kit/tabs.js'

/** A server with a route that changes topics, and what it has been asked to change. */
async function open(
  t: Test
): Promise<{ s: Served; changes: unknown[]; change: (change: TopicChange) => Promise<void> }> {
  const changes: unknown[] = []
  const s = await serve(t, {
    sse: { retry: 10, authorizeTopics: () => true },
    setup: (app) =>
      app.post<{ Body: { client: string; add: string[]; remove: string[] } }>('/topics', async ({ body }, reply) => {
        const { client: id, add, remove } = body
        changes.push({ add, remove })
        if (app.sse.client(id) === undefined) return reply.code(404).send()
        for (const topic of add) app.sse.subscribe({ id }, topic)
        for (const topic of remove) app.sse.unsubscribe({ id }, topic)
        return {}
      })
  })
  const change = async ({ clientId, add, remove, signal }: TopicChange) => {
    const body = JSON.stringify({ client: clientId, add, remove })
    const headers = { 'content-type': 'application/json' }
    const { ok, status } = await fetch(`${s.url}/topics`, { method: 'POST', headers, body, signal })
    if (!ok) throw new Error(`answered ${status}`)
  }
  return { s, changes, change }
}

t.test('with changeTopics topics change without a reconnect, and several changes are one request', async (t) => {
  const { s, changes, change } = await open(t)
  const done = gate()
  const changeTopics = async (wanted: TopicChange) => {
    // While the first request is under way.
    if (changes.length === 0) topics.delete('d')
    await change(wanted)
    if (changes.length === 2) void done.pass()
  }
  const live = new Live(t, `${s.url}/events`, { topics: ['a', 'b'], changeTopics })
  await live.status('open')
  const { topics, clientId } = live.connection
  topics.add('c')
  topics.add('d')
  topics.delete('a')
  await done.reached
  for (const topic of ['a', 'b', 'c', 'd', undefined]) s.app.sse.broadcast(topic ?? 'all', { topic })
  t.strictSame((await live.until('all')) as string[], ['b', 'c', 'all'])
  t.strictSame(changes, [
    { add: ['c', 'd'], remove: ['a'] },
    { add: [], remove: ['d'] }
  ])
  t.strictSame(live.states, ['connecting', 'open'])
  t.equal(live.connection.clientId, clientId)

  // The next connection has them, too.
  for (const client of s.app.sse.clients) client.close()
  await live.opened(2)
  s.app.sse.broadcast('again', { topic: 'c' })
  await live.until('again')
  topics.add('c')
  t.equal(changes.length, 2, 'what changes nothing asks for nothing')
  t.strictSame(live.errors, [])
})

t.test('if changeTopics throws, the client reports the error, reconnects and misses nothing', async (t) => {
  const { s } = await open(t)
  const changeTopics = async () => {
    s.app.sse.broadcast('meanwhile', { topic: 'new' })
    throw new Error('not allowed')
  }
  const live = new Live(t, `${s.url}/events`, { changeTopics })
  await live.status('open')
  live.connection.topics.add('new')
  await live.opened(2)
  t.strictSame(await live.take(1), ['meanwhile'])
  t.match(live.errors, [{ message: 'not allowed' }])
})

t.test('if the connection is lost during a change of topics, the next one requests all topics', async (t) => {
  const { s, change } = await open(t)
  const asked: TopicChange[] = []
  const changeTopics = (wanted: TopicChange) => {
    asked.push(wanted)
    if (asked.length > 1) return change(wanted)
    for (const client of s.app.sse.clients) client.close()
    return new Promise((_, reject) => wanted.signal.addEventListener('abort', () => reject(wanted.signal.reason)))
  }
  const live = new Live(t, `${s.url}/events`, { changeTopics })
  await live.status('open')
  live.connection.topics.add('new')
  await live.opened(2)
  live.connection.topics.add('newer')
  for (const topic of ['new', 'newer']) {
    while (![...s.app.sse.clients][0]?.topics.includes(topic)) await new Promise(setImmediate)
    s.app.sse.broadcast(topic, { topic })
    await live.until(topic)
  }
  t.match(asked, [{ add: ['new'] }, { add: ['newer'] }])
  t.strictSame(live.errors, [])
})

t.test('topics that are added before the stream is open are part of its request', async (t) => {
  const { s, changes, change } = await open(t)
  const live = new Live(t, `${s.url}/events`, { changeTopics: change })
  live.connection.topics.add('early')
  await live.status('open')
  s.app.sse.broadcast(1, { topic: 'early' })
  t.strictSame(await live.take(1), [1])
  t.strictSame(changes, [])
})

t.test('tabs that share a connection change its topics without a reconnect, and each receives its own', async (t) => {
  const { s, changes, change } = await open(t)
  const tabs = new Tabs(t)
  const first = await tabs.open(`${s.url}/events`, { topics: ['a'], changeTopics: change })
  const loads: unknown[] = []
  const second = await tabs.open(`${s.url}/events`, {
    topics: ['b'],
    changeTopics: change,
    load: ({ reason }) => loads.push(reason) as never
  })
  second.live.connection.topics.add('c')
  while (![...s.app.sse.clients][0]?.topics.includes('c')) await new Promise(setImmediate)
  for (const topic of ['a', 'b', 'c', undefined]) s.app.sse.broadcast(topic ?? 'all', { topic })
  t.strictSame(await first.live.until('all'), ['a', 'all'])
  t.strictSame(await second.live.until('all'), ['b', 'c', 'all'])
  t.strictSame(first.live.states, ['connecting', 'open'])
  t.strictSame(loads, ['connect'])
  t.strictSame(changes, [
    { add: ['b'], remove: [] },
    { add: ['c'], remove: [] }
  ])
  // What the app gives is for all, though a tab asks for it, and no longer does.
  for (const client of s.app.sse.clients) client.subscribe('given')
  s.app.sse.broadcast('told')
  await first.live.until('told')
  first.live.connection.topics.add('given')
  first.live.connection.topics.delete('given')
  s.app.sse.broadcast('for all', { topic: 'given' })
  for (const { live } of [first, second]) t.equal((await live.until('for all')).at(-1), 'for all')
  t.equal(s.app.sse.clientCount, 1)
})
