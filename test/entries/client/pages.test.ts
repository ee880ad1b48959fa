import t, { type Test } from 'tap'
import { answering, Live, status, stream } from '../../kit/live.js'
import { type Served, serve } from '../../kit/server.js'

/** A server behind something that holds streams back for as long as `held` says. */
async function serveHeldBack(t: Test, sse: object = {}): Promise<Served & { held: boolean }> {
  const onRequest = async ({ headers }: { headers: { accept?: string } }, reply: { hijack(): void }) => {
    if (served.held && headers.accept === 'text/event-stream') reply.hijack()
  }
  const options = { retry: 10, route: { onRequest }, ...sse }
  const s = await serve(t, { fastify: { forceCloseConnections: true }, sse: options as never })
  const served = Object.assign(s, { held: true })
  return served
}

t.test('if a proxy holds the stream back, the client changes to pages, and says so', async (t) => {
  const s = await serveHeldBack(t, { authorizeTopics: () => true })
  s.app.sse.broadcast('before')
  const loads: string[] = []
  const options = {
    openTimeout: 1000,
    topics: ['a'],
    load: ({ reason }: { reason: string }) => loads.push(reason) as never
  }
  const live = new Live(t, `${s.url}/events`, options)
  t.match(await live.status('open'), { transport: 'pages' })
  s.app.sse.broadcast({ n: 1 }, { event: 'named', topic: 'a' })
  await live.take(1)
  s.app.sse.broadcastMessage('2')
  s.app.sse.broadcast('others', { topic: 'b' })
  s.app.sse.broadcast(3)
  t.strictSame(await live.take(3), [{ n: 1 }, '2', 3])
  t.match(live.events[0], { event: 'named', topic: 'a' })
  t.match(live.errors, [{ code: 'silent' }])
  t.strictSame(loads, ['connect'])
})

t.test('pages report missed events, and the stream is tried again later', async (t) => {
  const s = await serveHeldBack(t, { history: { events: 2 } })
  let late = 0
  const { now } = Date
  t.intercept(Date, 'now', { value: () => now() + late })
  const live = new Live(t, `${s.url}/events`, { openTimeout: 2000, lastEventId: 'gone-1' })
  t.match(await live.take(1), [{ reason: 'expired', missed: null }])
  late = 3_600_000
  s.held = false
  s.app.sse.broadcast(1)
  await live.until(1)
  await live.opened(2)
  t.match(live.connection.status, { state: 'open', transport: 'stream' })
  s.app.sse.broadcast(2)
  await live.until(2)
  t.strictSame(live.data.slice(1), [1, 2])
})

t.test('after a full page the next one is requested at once', async (t) => {
  const s = await serveHeldBack(t)
  for (let i = 0; i < 1100; i++) s.app.sse.broadcast(i)
  const live = new Live(t, `${s.url}/events`, { openTimeout: 1000, lastEventId: '0' })
  t.equal((await live.take(1100)).at(-1), 1099)
})

t.test('if the server has no pages, the client requests the stream again', async (t) => {
  const s = await answering(t, (reply) => reply.hijack(), status(406), stream())
  const live = new Live(t, `${s.url}/events`, { openTimeout: 1000 })
  await live.status('open')
  t.match(live.errors, [{ code: 'silent' }, { status: 406 }])
})

t.test('a connection that is closed while it waits for a page ends', async (t) => {
  const s = await serveHeldBack(t)
  const live = new Live(t, `${s.url}/events`, { openTimeout: 1000 })
  await live.status('open')
  live.connection.close()
  t.equal(live.states.at(-1), 'closed')
})
