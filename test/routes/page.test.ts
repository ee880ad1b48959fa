import t from 'tap'
import type { Page } from '../../lib/routes/page.js'
import { bodyOf } from '../kit/answers.js'
import { ask, dataOf, pageOf, pathOf, publishNumbers, serveNumbers } from '../kit/page-requests.js'
import { serve } from '../kit/server.js'

t.test('a client that prefers JSON gets the events held, oldest first, and a cursor', async (t) => {
  const { served, ids } = await serveNumbers(t, 3)
  const reader = await ask(served)
  t.equal(reader.status, 200)
  t.match(reader.headers.get('content-type'), /^application\/json/)
  t.equal(reader.headers.get('cache-control'), 'no-store')
  t.equal(reader.headers.get('access-control-allow-origin'), '*', 'as the stream')
  t.strictSame(await bodyOf(reader), {
    events: ids.map((id, i) => ({ id, data: i + 1 })),
    cursor: ids[2],
    hasMore: false
  })
})

t.test('an empty log is an empty page, with a cursor that everything follows', async (t) => {
  const { served } = await serveNumbers(t, 0)
  const empty = await pageOf(served)
  t.match(empty, { events: [], hasMore: false })
  await publishNumbers(served, 1, 2)
  t.strictSame(dataOf(await pageOf(served, { since: empty.cursor })), [1, 2])
})

const accepts: [accept: string | undefined, type: string][] = [
  ['application/json', 'application/json; charset=utf-8'],
  ['application/*', 'application/json; charset=utf-8'],
  ['text/event-stream;q=0.5, application/json', 'application/json; charset=utf-8'],
  ['text/event-stream, application/json;q=0.5', 'text/event-stream'],
  ['text/*', 'text/event-stream'],
  ['*/*', 'text/event-stream'],
  ['', 'text/event-stream'],
  [undefined, 'text/event-stream']
]
for (const [accept, type] of accepts) {
  t.test(`Accept: ${accept ?? 'nothing'} gets ${type}, by HEAD and by GET`, async (t) => {
    const { served } = await serveNumbers(t, 1)
    for (const method of ['GET', 'HEAD']) {
      const reader = await served.connect({ method, headers: { accept } })
      t.equal(reader.status, 200)
      t.equal(reader.headers.get('content-type')?.split(';')[0], type.split(';')[0], method)
    }
  })
}

t.test('pages of any size lead through the log: each event once, in order, up to the end', async (t) => {
  const { served } = await serveNumbers(t, 20)
  for (const limit of [1, 3, 7, 19, 20, 21, 1000]) {
    const seen: unknown[] = []
    let page: Page | undefined
    let pages = 0
    do {
      page = await pageOf(served, { limit, ...(page && { since: page.cursor }) })
      t.ok(page.events.length <= limit)
      seen.push(...dataOf(page))
      pages++
    } while (page.hasMore)
    t.equal(pages, Math.ceil(20 / limit), 'none of them empty')
    t.strictSame(
      seen,
      Array.from({ length: 20 }, (_, i) => i + 1)
    )
    t.match(await pageOf(served, { since: page.cursor }), { events: [], cursor: page.cursor, hasMore: false })
  }
})

t.test('an event of a page says its name, its topic and its data: JSON as JSON, text as text', async (t) => {
  const { served } = await serveNumbers(t, 0)
  const { sse } = served.app
  sse.broadcast({ deep: [1, null, 'x\ny'] }, { event: 'todo.created', topic: 'a.b', id: 'own' })
  sse.broadcast('a string')
  sse.broadcast(null)
  sse.broadcastMessage('{"not":"read"}')
  sse.broadcastMessage('two\r\nlines\n\nid: forged', { event: 'text' })
  sse.broadcastMessage('')
  const { events } = await pageOf(served, { topic: 'a.*' })
  t.strictSame(
    events.map(({ id, ...rest }) => rest),
    [
      { event: 'todo.created', topic: 'a.b', data: { deep: [1, null, 'x\ny'] } },
      { data: 'a string' },
      { data: null },
      { data: '{"not":"read"}' },
      { event: 'text', data: 'two\nlines\n\nid: forged' },
      { data: '' }
    ]
  )
  t.equal(events[0]!.id, 'own')
})

t.test('data that the app serialises to something other than JSON is given as text', async (t) => {
  const served = await serve(t, { sse: { serialize: (data) => `<${data}>` } })
  served.app.sse.broadcast('x')
  t.strictSame(dataOf(await pageOf(served)), ['<x>'])
})

t.test('a page holds the topics that are asked for, and the cursor passes over the others', async (t) => {
  const { served } = await serveNumbers(t, 0)
  for (let n = 0; n < 5; n++) {
    for (const topic of ['a', 'b', 'b.x', undefined]) served.app.sse.broadcastMessage(`${topic}${n}`, { topic })
  }
  const all = (...topics: string[]) =>
    Array.from({ length: 5 }, (_, n) => [...topics, 'undefined'].map((topic) => `${topic}${n}`)).flat()
  t.strictSame(dataOf(await pageOf(served)), all())
  t.strictSame(dataOf(await pageOf(served, { topic: 'a' })), all('a'))
  t.strictSame(dataOf(await pageOf(served, { topic: ['a', 'b.**'] })), all('a', 'b', 'b.x'))
  const first = await pageOf(served, { topic: 'a', limit: 9 })
  t.match(first, { events: { length: 9 }, hasMore: true })
  t.match(await pageOf(served, { topic: 'a', limit: 1, since: first.cursor }), { hasMore: false })
  await publishNumbers(served, 1, 3, 'c')
  const end = await pageOf(served, { topic: 'a', limit: 1, since: first.cursor })
  t.strictSame([dataOf(end), end.hasMore], [['undefined4'], false])
  t.match(end.cursor, /-23$/, 'so that a quiet topic never falls behind')
})

t.test('a page has the same access control as the stream', async (t) => {
  const grants: Record<string, string[]> = { '7': ['user:7', 'team.*'] }
  const served = await serve(t, {
    sse: {
      authorizeTopics: ({ headers }) => grants[headers['x-user'] as string],
      route: {
        onRequest: async ({ headers }, reply) => {
          if (headers['x-user'] === undefined) return reply.code(401).send()
        }
      }
    }
  })
  for (const topic of ['user:7', 'user:42', 'team.a', undefined])
    served.app.sse.broadcastMessage(topic ?? 'all', { topic })
  const get = async (user: string | undefined, ...topic: string[]) => {
    const headers = { accept: 'application/json', 'x-user': user }
    const reader = await served.connect({ path: pathOf({ topic }), headers })
    return reader.status === 200 ? dataOf(await bodyOf(reader)) : reader.status
  }
  t.equal(await get(undefined), 401)
  t.strictSame(await get('42'), ['all'])
  t.equal(await get('42', 'user:7'), 403)
  t.equal(await get('7', 'user:42', '**', 'team.**'), 403)
  t.strictSame(await get('7', 'user:7', 'user:42'), ['user:7', 'all'])
  t.strictSame(await get('7', 'team.*', 'user:42'), ['team.a', 'all'])
  t.equal(await get('7', 'team.*', ''), 400)
})
