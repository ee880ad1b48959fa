import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { Page } from '../../lib/routes/page.js'
import { bodyOf } from '../kit/answers.js'
import { ask, dataOf, pageOf, pathOf, publishNumbers, type Refusal, serveNumbers } from '../kit/page-requests.js'
import { waiting } from '../kit/waiting.js'

t.test('a long poll is answered by the first event for it, and no other event wakes it', async (t) => {
  const { served, ids } = await serveNumbers(t, 3)
  const all = waiting(t, 4)
  const query = { since: ids[2]!, wait: 60_000 }
  const plain = await ask(served, query, false)
  const [a, pattern, both] = [
    await ask(served, { ...query, topic: 'a' }, false),
    await ask(served, { ...query, topic: 'a.*' }, false),
    await ask(served, { ...query, topic: ['a', 'b'] }, false)
  ]
  await all
  const [first] = await publishNumbers(served, 4, 4, 'b')
  t.strictSame(await bodyOf(both), { events: [{ id: first, topic: 'b', data: 4 }], cursor: first, hasMore: false })
  await publishNumbers(served, 5, 5, 'a.x')
  t.strictSame(dataOf(await bodyOf(pattern)), [5])
  await publishNumbers(served, 6, 6, 'a')
  t.strictSame(dataOf(await bodyOf(a)), [6])
  t.throws(() => plain.status, 'still waits')
  const [last] = await publishNumbers(served, 7, 7)
  t.strictSame(await bodyOf(plain), { events: [{ id: last, data: 7 }], cursor: last, hasMore: false })
})

t.test('a long poll gets a whole burst, up to its limit', async (t) => {
  const { served, ids } = await serveNumbers(t, 1)
  const both = waiting(t, 2)
  const query = { since: ids[0]!, wait: 60_000 }
  const [all, few] = [await ask(served, query, false), await ask(served, { ...query, limit: 2 }, false)]
  await both
  for (let n = 2; n <= 6; n++) served.app.sse.broadcast(n)
  t.strictSame(dataOf(await bodyOf(all)), [2, 3, 4, 5, 6])
  const page = await bodyOf<Page>(few)
  t.strictSame(dataOf(page), [2, 3])
  t.ok(page.hasMore)
  t.strictSame(dataOf(await pageOf(served, { since: page.cursor, wait: 60_000 })), [4, 5, 6])
})

t.test('a long poll does not wait if there are events', async (t) => {
  const { served } = await serveNumbers(t, 2)
  t.strictSame(dataOf(await pageOf(served, { wait: 60_000 })), [1, 2])
})

t.test('a long poll that gets nothing ends with an empty page, whose cursor has moved on', async (t) => {
  const { served, ids } = await serveNumbers(t, 3, { history: { events: 5 }, queueDepth: 5 })
  const waits = waiting(t, 1)
  const reader = await ask(served, { topic: 'quiet', since: ids[2]!, wait: 200 }, false)
  await waits
  const busy = await publishNumbers(served, 4, 30, 'busy')
  t.strictSame(await bodyOf(reader), { events: [], cursor: busy.at(-1), hasMore: false })
  const [id] = await publishNumbers(served, 31, 31, 'quiet')
  t.strictSame(await pageOf(served, { topic: 'quiet', since: busy.at(-1)! }), {
    events: [{ id, topic: 'quiet', data: 31 }],
    cursor: id,
    hasMore: false
  })
})

t.test('a long poll on a quiet topic misses nothing, however busy other topics are', async (t) => {
  const { served, ids } = await serveNumbers(t, 3, { history: { events: 5 }, queueDepth: 5 })
  const waits = waiting(t, 1)
  const reader = await ask(served, { topic: 'quiet', since: ids[2]!, wait: 60_000 }, false)
  await waits
  await publishNumbers(served, 4, 30, 'busy')
  await publishNumbers(served, 31, 31, 'quiet')
  await reader.head()
  t.equal(reader.status, 200)
  t.strictSame(dataOf(await bodyOf(reader)), [31])
})

t.test('a burst larger than the log gives a long poll 410, not a page with a gap', async (t) => {
  const { served, ids } = await serveNumbers(t, 3, { history: { events: 5 }, queueDepth: 5 })
  const waits = waiting(t, 1)
  const reader = await ask(served, { since: ids[2]!, wait: 60_000 }, false)
  await waits
  for (let n = 4; n <= 20; n++) served.app.sse.broadcast(n)
  await reader.head()
  t.equal(reader.status, 410)
  t.match(await bodyOf<Refusal>(reader), { code: 'RESYNC_REQUIRED', oldest: /-15$/ })
})

t.test('many long polls on one connection are answered in order, without a warning', async (t) => {
  const warnings: Error[] = []
  const warned = (warning: Error) => void warnings.push(warning)
  process.on('warning', warned)
  t.teardown(() => process.off('warning', warned))
  const { served, ids } = await serveNumbers(t, 3)
  const waits = waiting(t, 20)
  const path = pathOf({ since: ids[2]!, wait: 60_000 })
  const headers = { accept: 'application/json' }
  const client = await served.connect({ path, headers, waitForHead: false })
  for (let i = 1; i < 20; i++) client.request({ path, headers })
  await waits
  await turn()
  const [id] = await publishNumbers(served, 4, 4)
  for (const reader of [client, ...client.pipelined]) t.match(await bodyOf(reader), { cursor: id })
  t.strictSame(warnings, [])
})
