import t from 'tap'
import { StreamReader } from '../../../lib/entries/testing/stream-reader.js'
import { listen, NotReceivedError, UnexpectedEventError } from '../../../lib/entries/testing/testing.js'
import { withStream } from '../../kit/inject-client.js'

t.test('each wait continues after the event that the last one returned', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  for (const n of [1, 2, 3, 4, 5, 6, 7]) app.sse.broadcast(n, { event: n % 2 === 0 ? 'even' : 'odd' })
  app.sse.broadcast(8)
  t.equal((await events.next('even')).data, 2)
  t.equal((await events.next()).data, 3)
  t.equal((await events.until(({ data }) => data > 4)).data, 5)
  t.strictSame(
    (await events.take(2)).map(({ data }) => data),
    [6, 7]
  )
  t.equal((await events.next('message')).data, 8)
  await t.rejects(
    events.next('odd', { timeout: 1 }),
    { message: /for the event 'odd'\. / },
    'those passed over come no more'
  )
  t.strictSame(
    events.all.map(({ data }) => data),
    [1, 2, 3, 4, 5, 6, 7, 8]
  )
})

t.test('two waits at once get two events', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  const both = Promise.all([events.next(), events.next()])
  app.sse.broadcast(1)
  app.sse.broadcast(2)
  t.strictSame(
    (await both).map(({ data }) => data),
    [1, 2]
  )
})

t.test('a wait that fails says what was awaited, how long, and what has come', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  const { client } = await events.connected()
  app.sse.broadcast({ id: 7 }, { event: 'todo.created', id: 'a' })
  for (const sse of app.sse.clients) sse.send('x'.repeat(200))
  await events.next()
  const error = await events.next('todo.create', { timeout: 20 }).catch((error: unknown) => error as Error)
  t.type(error, NotReceivedError)
  t.match(error, { code: 'PYLON_SSE_ERR_NOT_RECEIVED', name: 'NotReceivedError' })
  const epoch = /connected \(id (\w+)-0\)/.exec((error as Error).message)?.[1]
  t.strictSame((error as Error).message.split('\n'), [
    "Waited 20 ms for the event 'todo.create' (did you mean 'todo.created'?). The answer: 200, text/event-stream. " +
      `The connection is open, it began with connected (id ${epoch}-0) {"client":"${client}","keepAlive":30000}, ` +
      "the last event id is 'a'. 2 events have come:",
    '  todo.created (id a, taken) {"id":7}',
    `  message ${'x'.repeat(120)}… (200 characters)`
  ])
  t.match((error as Error).stack?.split('\n')[3], /waits\.test\.ts/, 'its stack begins with the test')
  await t.rejects(events.take(2, { timeout: 20 }), { message: /^Waited 20 ms for the next 2 events\. / })
  await t.rejects(
    events.until(({ data }) => data === 1, { timeout: 10 }),
    {
      message: /^Waited 10 ms for an event such that \(\{ data \}\) => data === 1\. /
    }
  )
  await t.rejects(events.end({ timeout: 10 }), { message: /^Waited 10 ms for the end of the stream\. / })
})

t.test('of many events the last ones are shown', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  for (let n = 1; n <= 30; n++) app.sse.broadcast(n, { event: 'tick', id: `${n}` })
  await events.take(30)
  await t.rejects(events.next({ timeout: 1 }), {
    message: /30 events have come:\n {2}… 20 before\n {2}tick \(id 21, taken\) 21\n/
  })
})

t.test('a wait ends at once with the stream', async (t) => {
  const app = await withStream(t)
  const events = await listen(app, { timeout: 60_000 })
  const next = t.rejects(events.next('a'), {
    message:
      /^Waited for the event 'a', but it can come no more\. .* The connection has ended, .*\. No event has come\.$/
  })
  const none = t.rejects(events.none(60_000), {
    message: /^Waited for 60000 ms for no event, but it can come no more\./
  })
  await app.close()
  await Promise.all([next, none])
})

t.test('none() resolves if no event, or none of that name, comes besides those taken', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  await events.none(1)
  app.sse.broadcast(1, { event: 'a', id: 'x' })
  await events.none(5, 'b')
  const error = await events.none(60_000).catch((error: unknown) => error)
  t.type(error, UnexpectedEventError)
  t.match(error, {
    code: 'PYLON_SSE_ERR_UNEXPECTED_EVENT',
    message: 'There was to be no event for 60000 ms, but: a (id x) 1'
  })
  await events.next()
  await events.none(1)
  const later = events.none(60_000, 'message')
  app.sse.broadcast(2, { event: 'a' })
  app.sse.broadcast(3)
  await t.rejects(later, { message: /^There was to be no event 'message' for 60000 ms, but: message \(id .*\) 3$/ })
})

t.test('a wait rejects with what its predicate throws', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  app.sse.broadcast(null)
  await t.rejects(
    events.until(({ data }) => data.id === 1),
    TypeError
  )
})

t.test('events that were not parsed are shown as they came', async (t) => {
  const reader = new StreamReader({
    interpret: ({ event, id, data, topic }) => ({ event, id, data, topic }),
    patience: 5
  })
  t.throws(() => reader.status, { message: 'the head has not come yet: await head() first' })
  await t.rejects(reader.next(), { message: 'Waited 5 ms for the next event. There is no answer.' })
  reader.receiveHead({ status: 200, rawHeaders: [['Content-Type', 'text/event-stream']] })
  reader.receive(Buffer.from(': topic t\ndata: {"a":\ndata: 1}\n\n'))
  await t.rejects(reader.named('messag'), {
    message: /did you mean 'message'.* 1 event has come:\n {2}message \(topic t\) {"a":\n1}$/
  })
  t.strictSame(await reader.named('message'), { event: undefined, id: undefined, data: '{"a":\n1}', topic: 't' })
  let isClosed = false
  void reader.closed.then(() => {
    isClosed = true
  })
  reader.begin()
  await t.rejects(reader.next(), {
    message: /^Waited 5 ms for the next event\. There is no answer\. 1 event has come:/
  })
  reader.hangUp()
  await reader.closed
  t.notOk(isClosed, 'that was another connection')
})

t.test('await using closes it', async (t) => {
  const app = await withStream(t)
  const events = await listen(app)
  await events[Symbol.asyncDispose]()
  t.equal(app.sse.clientCount, 0)
})
