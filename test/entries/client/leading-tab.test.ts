import t from 'tap'
import { answering, CONNECTED, status, stream } from '../../kit/live.js'
import { serve } from '../../kit/server.js'
import { SSE, Tabs } from '../../kit/tabs.js'

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

t.test('all tabs see that the connection has failed, and the leading one is told why', async (t) => {
  const s = await answering(t, stream(CONNECTED), status(500))
  const tabs = new Tabs(t)
  const [first, second] = [await tabs.open(`${s.url}/events`), await tabs.open(`${s.url}/events`)]
  first.live.connection.topics.add('new')
  t.match(await first.live.failed(), { status: 500 })
  t.match((await second.live.status('waiting')).error, /500/)
  t.strictSame(second.live.errors, [])
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
