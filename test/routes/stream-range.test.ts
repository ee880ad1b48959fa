import t from 'tap'
import type { StreamEvent, StreamOptions } from '../../lib/index.js'
import { LogLines } from '../kit/log-lines.js'
import { dataOf, serveStream } from '../kit/own-stream.js'
import { serve } from '../kit/server.js'

t.test('with everyone: false a stream has only events of its topics, also in a replay', async (t) => {
  const s = await serveStream(t, { topics: ['a', 'b.*'], everyone: false })
  const first = await s.open()
  const other = await s.open()
  const id = (await first.waitForId())!
  const send = (from: number) => {
    s.app.sse.broadcast(from)
    s.app.sse.broadcast(from + 1, { topic: 'a' })
    s.app.sse.broadcast(from + 2, { topic: 'c' })
    s.app.sse.broadcast(from + 3, { topic: 'b.x' })
    s.app.sse.broadcast(from + 4)
  }
  send(0)
  t.strictSame(dataOf(await first.take(2)), [1, 3])
  send(10)
  t.strictSame(dataOf(await first.take(2)), [11, 13])
  t.strictSame(dataOf(await other.take(4)), [1, 3, 11, 13])
  const again = await s.open({ lastEventId: id })
  t.strictSame(dataOf(await again.take(4)), [1, 3, 11, 13])
  const [client] = s.app.sse.clients
  client!.unsubscribe('a')
  client!.unsubscribe('b.*')
  client!.subscribe('c')
  send(20)
  t.strictSame(dataOf([await first.next()]), [22])
})

t.test('with everyone: false and no topics a stream has only what is sent to its client', async (t) => {
  const s = await serveStream(t, { everyone: false })
  const client = await s.open()
  s.app.sse.broadcast('not this')
  s.app.sse.send(() => true, 'this')
  t.equal((await client.next()).data, '"this"')
})

t.test('a stream starts now, at the oldest event held, or at a cursor, but a last event id wins', async (t) => {
  let options: StreamOptions = {}
  const s = await serve(t, {
    setup: (app) => {
      app.get('/stream', (request, reply) => app.sse.stream(request, reply, options))
    }
  })
  const ids: string[] = []
  for (let i = 0; i < 3; i++) ids.push(await s.app.sse.publish(i))
  const begin = async (from: string | undefined, lastEventId?: string) => {
    options = from === undefined ? {} : { from }
    const client = await s.connect({ path: '/stream', ...(lastEventId !== undefined && { lastEventId }) })
    s.app.sse.broadcast('end')
    await client.until(({ data }) => data === '"end"')
    await client.close()
    return dataOf(client.events.slice(0, -1)).filter((data) => typeof data === 'number')
  }
  t.strictSame(await begin(undefined), [])
  t.strictSame(await begin('now'), [])
  t.strictSame(await begin('oldest'), [0, 1, 2])
  t.strictSame(await begin(ids[0]), [1, 2])
  t.strictSame(await begin('oldest', ids[1]), [2])
})

t.test('?lastEventId=0 starts at the oldest event held, as since=0 does for a page', async (t) => {
  const resumed: boolean[] = []
  const s = await serve(t, { sse: { onConnect: (client) => void resumed.push(client.resumed) } })
  s.app.sse.broadcast('first')
  const client = await s.connect({ query: { lastEventId: '0' } })
  t.equal((await client.next()).data, '"first"')
  // An id of the app's own is that, where the log holds it.
  s.app.sse.broadcast('zero', { id: '0' })
  s.app.sse.broadcast('next')
  const own = await s.connect({ query: { lastEventId: '0' } })
  t.equal((await own.next()).data, '"next"')
  t.strictSame(resumed, [false, true])
})

t.test('the stream ends after the event of until, and a client that reconnects from there gets 204', async (t) => {
  const fits = ({ event, data, topic }: StreamEvent) => event === 'done' && data === 3 && topic === 'job'
  for (const until of ['done', fits]) {
    const s = await serveStream(t, { topics: ['job'], until })
    const one = await s.open()
    const two = await s.open()
    s.app.sse.broadcast(1, { topic: 'job' })
    s.app.sse.broadcastMessage('text', { topic: 'job' })
    s.app.sse.broadcast(3, { topic: 'job', event: 'done' })
    s.app.sse.broadcast(4, { topic: 'job' })
    for (const client of [one, two]) {
      await client.waitForEnd()
      t.strictSame(
        client.events.map(({ data }) => data),
        ['1', 'text', '3']
      )
    }
    t.equal((await s.open({ lastEventId: one.lastEventId })).status, 204)
    const early = await s.open({ lastEventId: one.events[0]!.id! })
    await early.waitForEnd()
    t.strictSame(
      early.events.map(({ data }) => data),
      ['text', '3'],
      'who missed the end gets it'
    )
    t.equal(s.app.sse.clientCount, 0)
    t.equal(s.app.sse.stats().disconnects.completed, 3)
  }
})

t.test('an until that throws ends that stream, and no other', async (t) => {
  const log = new LogLines()
  const s = await serveStream(
    t,
    {
      until: () => {
        throw new Error('the app has failed')
      }
    },
    {},
    { fastify: { logger: { level: 'error', stream: log } } }
  )
  const client = await s.open()
  const other = await s.connect()
  s.app.sse.broadcast(1)
  await client.waitForEnd()
  t.match(await log.waitFor(/until failed/), { err: { message: 'the app has failed' }, reqId: String })
  s.app.sse.broadcast(2)
  t.strictSame(dataOf(await other.take(2)), [1, 2])
  // Of the event that it shows, too.
  t.equal((await s.open({ lastEventId: other.lastEventId })).status, 200)
})
