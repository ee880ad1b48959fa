import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { serveRuns, steps, told } from '../../kit/runs.js'
import { serve } from '../../kit/server.js'

t.test('a run continues without its listener, who gets the rest on return, each piece once', async (t) => {
  const s = await serveRuns(t)
  const { source, gates } = steps(4)
  const work = s.app.sse.run(source, { topic: 'x' })
  const first = await s.listen('x')
  for (const { open } of gates.slice(0, 2)) open()
  await first.take(2)
  await first.close()
  gates[2]!.open()
  gates[3]!.open()
  await work.finished
  const again = await s.listen('x', first.lastEventId)
  await again.waitForEnd()
  t.strictSame(told(again), [
    [undefined, 2],
    [undefined, 3],
    ['done', 'all']
  ])
  // A page that is loaded anew has no last event id.
  for (const path of ['/runs/x', '/runs/x?lastEventId=0']) {
    const fresh = await s.connect({ path })
    await fresh.waitForEnd()
    t.equal(fresh.events.length, 5)
  }
})

t.test('a run answers the request that began it, or is heard at /events by topic and cursor', async (t) => {
  const s = await serve(t, {
    sse: { authorizeTopics: () => true },
    setup: (app) => {
      app.post('/answers', async (request, reply) => {
        const work = app.sse.run(['a', 'b'], { topic: 'answer' })
        return app.sse.stream(request, reply, work.stream)
      })
    }
  })
  const answer = await fetch(`${s.url}/answers`, { method: 'POST' })
  t.match(
    await answer.text(),
    /data: "a"\n\n: topic answer\nid: .*\ndata: "b"\n\n: topic answer\nid: .*\nevent: done\ndata: null\n\n$/
  )
  const { cursor } = s.app.sse.run(['c'], { topic: 'other' })
  const client = await s.connect({ query: { topic: 'other', lastEventId: cursor } })
  await client.waitForEnd()
  t.strictSame(told(client), [
    [undefined, 'c'],
    ['done', null]
  ])
  const page = await s.connect({ path: '/events?topic=other', headers: { accept: 'application/json' } })
  await page.waitForEnd()
  t.match(JSON.parse(page.body), { events: [{ data: 'c' }, { event: 'done' }], hasMore: false })
})

t.test('a run and the hub neither evict nor receive the events of each other', async (t) => {
  const s = await serveRuns(t, { history: { events: 5 } })
  const everyone = await s.connect({ query: { topic: '**' } })
  const cursor = (await everyone.waitForId())!
  s.app.sse.broadcast('kept')
  const work = s.app.sse.run(Array(100).keys(), { topic: 'x' })
  await work.finished
  for (let i = 0; i < 3; i++) s.app.sse.broadcast(i)
  t.strictSame(
    (await everyone.take(4)).map(({ data }) => JSON.parse(data)),
    ['kept', 0, 1, 2]
  )
  t.equal((await (await s.connect({ lastEventId: cursor })).next()).data, '"kept"')
  for (let i = 0; i < 20; i++) s.app.sse.broadcast(i)
  const client = await s.listen('x')
  await client.waitForEnd()
  t.equal(client.events.length, 101)
})

t.test('a listener that has missed evicted pieces gets a resync, and then those that are held', async (t) => {
  const s = await serveRuns(t)
  const { source, gates } = steps(10)
  const work = s.app.sse.run(source, { topic: 'x', maxEvents: 3 })
  const early = await s.listen('x')
  gates[0]!.open()
  const [first] = await early.take(1)
  await early.close()
  for (const { open } of gates) open()
  await work.finished
  const again = await s.listen('x', first!.id!)
  await again.waitForEnd()
  t.strictSame(told(again), [
    ['resync', { reason: 'expired', missed: 7 }],
    [undefined, 8],
    [undefined, 9],
    ['done', 'all']
  ])
  const unknown = await s.listen('x', 'never-given')
  await unknown.waitForEnd()
  t.strictSame(told(unknown)[0], ['resync', { reason: 'unknown', missed: null }])
  t.equal(unknown.events.length, 4)
})

t.test('a slow listener gets everything that its run holds, and slows nothing down', async (t) => {
  const s = await serveRuns(t)
  const piece = 'x'.repeat(10_000)
  const work = s.app.sse.run(Array(2000).fill(piece), { topic: 'x', maxBytes: 40 * 1024 * 1024 })
  const slow = await s.connect({ path: '/runs/x', stuckBefore: 'body' })
  await work.finished
  slow.resume()
  await slow.waitForEnd(60_000)
  t.equal(slow.events.length, 2001)
})

t.test('a client of a run gets only its events, and can be selected, sent to and disconnected', async (t) => {
  const s = await serveRuns(t)
  const { source, gates } = steps(1)
  s.app.sse.run(source, { topic: 'x' })
  const client = await s.listen('x')
  const [{ id }] = [...s.app.sse.clients] as unknown as [{ id: string }]
  t.equal(s.app.sse.subscribe({ id }, 'news'), 0)
  s.app.sse.broadcast('news', { topic: 'news' })
  s.app.sse.broadcast('for everyone')
  s.app.sse.send({ topic: 'x' }, 'alone')
  gates[0]!.open()
  await client.waitForEnd()
  t.strictSame(told(client), [
    [undefined, 'alone'],
    [undefined, 0],
    ['done', 'all']
  ])
})

t.test('of a thousand runs at once each reaches its own listener', async (t) => {
  const s = await serveRuns(t, { maxClientsPerIp: false })
  const works = Array.from({ length: 1000 }, (_, n) =>
    s.app.sse.run(
      async function* () {
        for (let i = 0; i < 5; i++) {
          await sleep(1)
          yield `${n}:${i}`
        }
      },
      { topic: `run.${n}` }
    )
  )
  const listened = Array.from({ length: 50 }, (_, i) => i * 20)
  const clients = await Promise.all(listened.map((n) => s.listen(`run.${n}`)))
  await Promise.all(works.map(({ finished }) => finished))
  for (const [i, client] of clients.entries()) {
    await client.waitForEnd()
    t.strictSame(
      client.events.map(({ data }) => JSON.parse(data)),
      [...Array.from({ length: 5 }, (_, k) => `${listened[i]}:${k}`), null]
    )
  }
})
