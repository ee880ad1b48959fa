import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import t from 'tap'
import { connect, SseError, type SseOptions } from '../../../lib/entries/client/client.js'
import { answering, CONNECTED, Live, status, stream } from '../../kit/live.js'
import { serve } from '../../kit/server.js'
import { Arrivals } from '../../kit/topics.js'

t.test('an event has the data that was broadcast, its name, its id and its topic', async (t) => {
  const s = await serve(t, { sse: { authorizeTopics: () => true } })
  const live = new Live(t, `${s.url}/events`, { topics: ['orders.42', 'täglich'] })
  await live.status('open')
  s.app.sse.broadcast({ id: 7 }, { event: 'order.paid', topic: 'orders.42' })
  s.app.sse.broadcast('42')
  s.app.sse.broadcastMessage('42')
  s.app.sse.broadcastMessage('{"a":\n1}', { topic: 'täglich', id: 'own' })
  s.app.sse.broadcast(null, { topic: 'others' })
  s.app.sse.broadcast([1])
  await live.take(5)
  const [, epoch] = /^(.*)-1$/.exec(live.events[0]!.id!)!
  t.strictSame(live.events, [
    { event: 'order.paid', data: { id: 7 }, id: `${epoch}-1`, topic: 'orders.42' },
    { event: 'message', data: '42', id: `${epoch}-2`, topic: undefined },
    { event: 'message', data: '42', id: `${epoch}-3`, topic: undefined },
    { event: 'message', data: '{"a":\n1}', id: 'own', topic: 'täglich' },
    { event: 'message', data: [1], id: `${epoch}-6`, topic: undefined }
  ])
  t.equal(live.connection.lastEventId, `${epoch}-6`)
  t.ok([...s.app.sse.clients].some(({ id }) => id === live.connection.clientId))
})

t.test('an event for one client alone has no id, and data that is not JSON is a string', async (t) => {
  const arrivals = new Arrivals()
  const s = await serve(t, { sse: { onConnect: arrivals.onConnect, serialize: String } })
  const live = new Live(t, `${s.url}/events`)
  await live.status('open')
  arrivals.last.send('hello', { event: 'greeting' })
  await live.take(1)
  t.strictSame(live.events, [{ event: 'greeting', data: 'hello', id: undefined, topic: undefined }])
})

t.test('url and headers can be functions, which are called for each request', async (t) => {
  const s = await answering(t, stream(CONNECTED, true))
  let calls = 0
  const live = new Live(t, async () => new URL(`${s.url}/events?n=${++calls}`), {
    headers: async () => ({ authorization: `Bearer ${calls}` })
  })
  await live.opened(2)
  const [first, second] = s.requests
  t.equal(first!.url, '/events?n=1')
  t.equal(second!.url, '/events?n=2&lastEventId=a', 'with where it resumes')
  t.equal(second!.headers.authorization, 'Bearer 2')
  t.equal(second!.headers.accept, 'text/event-stream')
})

t.test('a listener can close the connection before its request is sent, and none is sent', async (t) => {
  let requests = 0
  const fetching = async () => {
    requests++
    return new Response(null, { status: 500 })
  }
  const connection = connect('http://127.0.0.1:9/events', { fetch: fetching })
  t.teardown(() => connection.close())
  await new Promise<void>((resolve) => {
    connection.onStatus(({ state }) => {
      if (state === 'connecting') connection.close()
      else resolve()
    })
  })
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  t.match(connection.status, { state: 'closed', reason: 'closed' })
  t.equal(requests, 0)
})

t.test('a listener can close the connection when it opens, and gets no event', async (t) => {
  const s = await answering(t, stream(`${CONNECTED}data: 1\n\n`, true))
  const connection = connect(`${s.url}/events`)
  t.teardown(() => connection.close())
  const events: unknown[] = []
  connection.subscribe((event) => events.push(event))
  await new Promise<void>((resolve) => {
    connection.onStatus(({ state }) => {
      if (state === 'open') connection.close()
      if (state === 'closed') resolve()
    })
  })
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  t.strictSame(events, [])
})

t.test('a fetch function and its credentials can be set', async (t) => {
  const s = await answering(t, stream())
  const inits: RequestInit[] = []
  const fetching = (url: string, init: RequestInit) => {
    inits.push(init)
    return fetch(url, init)
  }
  const live = new Live(t, `${s.url}/events`, { fetch: fetching, credentials: 'include', lastEventId: '0' })
  await live.status('open')
  t.match(inits, [{ credentials: 'include', cache: 'no-store' }])
  t.equal(s.requests[0]!.url, '/events?lastEventId=0')
})

t.test('an invalid URL is refused at once', async (t) => {
  t.throws(() => connect('/events'), TypeError, 'there is no page that it is relative to')
})

t.test('an unknown option, or one of the wrong type, is refused at once', async (t) => {
  for (const [options, name, takes, got] of [
    [{ topic: ['a'] }, 'topic', 'nothing', 'object'],
    [{ topics: 'a' }, 'topics', 'object', 'string'],
    [{ load: 'state' }, 'load', 'function', 'string'],
    [{ headers: 'x: y' }, 'headers', 'object|function', 'string'],
    [{ storage: 'session' }, 'storage', 'boolean|object', 'string'],
    [{ retryDelay: '1s' }, 'retryDelay', 'number', 'string'],
    [{ shared: 1 }, 'shared', 'boolean', 'number'],
    [{ sharedKey: 7 }, 'sharedKey', 'string', 'number']
  ] as const) {
    const message = new RegExp(
      `^The option '${name}' takes ${takes.replace('|', '[|]')}, but got ${got}[.] Options:.* load:function `
    )
    t.throws(() => connect('http://127.0.0.1/', options as object), { constructor: TypeError, message })
  }
  const options: Record<keyof SseOptions, undefined> = {
    ...{ topics: undefined, load: undefined, isStale: undefined, changeTopics: undefined, headers: undefined },
    ...{ credentials: undefined, fetch: undefined, onUnauthorized: undefined, shared: undefined, sharedKey: undefined },
    ...{ signal: undefined, storage: undefined, lastEventId: undefined, schemas: undefined, retryDelay: undefined },
    ...{ maxRetryDelay: undefined, openTimeout: undefined, pauseWhenHidden: undefined, maxBuffered: undefined }
  }
  connect('http://127.0.0.1/', options).close()
})

t.test('a relative URL is relative to the page or the worker', async (t) => {
  const s = await answering(t, stream())
  t.intercept(globalThis, 'location' as never, { value: { href: `${s.url}/a/page` } })
  await new Live(t, '../../events').status('open')
})

t.test('the stream of a server without the plugin can be read, too', async (t) => {
  const s = await answering(
    t,
    stream('\ufeff: hi\nwhat: ever\ndata: 1\n\nid: b\ndata: {\ndata: }\n\nevent: connected\ndata: x\n\n')
  )
  const live = new Live(t, `${s.url}/events`)
  t.strictSame(await live.take(2), [1, {}])
  t.equal(live.connection.clientId, undefined)
})

t.test('a response that is not an event stream is reported, and the client tries again', async (t) => {
  const s = await answering(t, (reply) => reply.type('text/html').send('<p>'), status(200), stream())
  const live = new Live(t, `${s.url}/events`)
  await live.status('open')
  t.ok(live.errors.every((error) => error instanceof SseError && error.code === 'content-type'))
  t.match(live.errors, [{ message: 'The answer is no event stream, but text/html.', status: 200 }, { status: 200 }])
  t.match(live.statuses[1], { state: 'waiting', error: live.errors[0] })
})

t.test('a fetch whose responses cannot be streamed, such as that of React Native, is reported', async (t) => {
  const fetching = async () => {
    const response = new Response(CONNECTED, { headers: { 'content-type': 'text/event-stream' } })
    return Object.defineProperty(response, 'body', { value: null })
  }
  const live = new Live(t, 'http://127.0.0.1/events', { fetch: fetching })
  t.match(await live.failed(), { code: 'content-type', message: 'The answer is no event stream, but null.' })
})

t.test('if the functions for URL or headers throw, the error is reported, and they are called again', async (t) => {
  const s = await answering(t, stream())
  let calls = 0
  const live = new Live(t, async () => (++calls === 1 ? Promise.reject(new Error('no url')) : `${s.url}/events`), {
    headers() {
      if (calls === 2) throw new Error('no token')
      return {}
    }
  })
  await live.status('open')
  t.match(live.errors, [{ message: 'no url' }, { message: 'no token' }])
  t.equal(s.requests.length, 1)
})

t.test('a type argument gives the events, their data and the loaded state their types', async (t) => {
  const s = await answering(t, stream())
  const live = connect<{ paid: { id: number } }, Map<number, number>>(`${s.url}/events`, {
    load: () => new Map([[1, 2]]),
    isStale: ({ data }, versions) => versions.has(data.id),
    // @ts-expect-error there is no such event
    schemas: { piad: undefined }
  })
  live.on('paid', ({ id }, { topic }) => [id.toFixed(), topic?.trim()])
  live.on('resync', ({ reason, missed }) => [reason.trim(), missed?.toFixed()])
  // @ts-expect-error there is no such event
  live.on('piad', () => {})
  // @ts-expect-error its id is a number
  live.on('paid', ({ id }) => id.trim())
  // @ts-expect-error an unknown option
  t.throws(() => connect(`${s.url}/events`, { topic: ['a'] }), TypeError)
  live.close()
})

t.test('the client changes no global, and an import that is not used adds nothing to a bundle', async (t) => {
  const before = Reflect.ownKeys(globalThis).map((key) => Object.getOwnPropertyDescriptor(globalThis, key)!.value)
  const s = await answering(t, stream())
  const live = new Live(t, `${s.url}/events`, { shared: true, storage: true })
  await live.status('open')
  live.connection.close()
  t.strictSame(
    Reflect.ownKeys(globalThis).map((key) => Object.getOwnPropertyDescriptor(globalThis, key)!.value),
    before
  )
  const entry = fileURLToPath(new URL('../../../lib/entries/client/client.ts', import.meta.url))
  const contents = `import ${JSON.stringify(entry)}; export { SseError } from ${JSON.stringify(entry)}`
  const options = { bundle: true, format: 'esm', write: false, splitting: true, outdir: 'out' } as const
  const { outputFiles } = await build({ ...options, stdin: { contents, resolveDir: '.' } })
  t.match(outputFiles[0]!.text, 'SseError')
  t.notMatch(outputFiles[0]!.text, /text.event-stream|addEventListener|createParser/)
})

t.test('topics can be added and deleted while the stream is open, and nothing is missed', async (t) => {
  const s = await serve(t, { sse: { retry: 10, authorizeTopics: () => true } })
  const live = new Live(t, `${s.url}/events`, { topics: ['a'] })
  const { topics } = live.connection
  await live.status('open')
  topics.add('a')
  topics.add('b').add('c')
  t.strictSame([...topics], ['a', 'b', 'c'])
  for (const topic of ['a', 'b', 'c']) s.app.sse.broadcast(topic, { topic })
  t.strictSame(await live.take(3), ['a', 'b', 'c'])
  await live.opened(2)
  t.strictSame([topics.delete('b'), topics.delete('none')], [true, false])
  t.strictSame([...topics], ['a', 'c'])
  await live.opened(3)
  for (const topic of ['a', 'b', 'c']) s.app.sse.broadcast(topic, { topic })
  t.strictSame(await live.take(5), ['a', 'b', 'c', 'a', 'c'])
  topics.clear()
  await live.opened(4)
  for (const topic of ['a', undefined]) s.app.sse.broadcast(topic ?? 'all', { topic })
  t.strictSame((await live.take(6)).at(-1), 'all')
  t.strictSame(live.states, ['connecting', 'open', 'connecting', 'open', 'connecting', 'open', 'connecting', 'open'])
})

t.test('a change of topics ends the pause before the next attempt', async (t) => {
  const s = await answering(t, status(500), stream())
  const live = new Live(t, `${s.url}/events`, { retryDelay: 100_000, maxRetryDelay: 100_000 })
  await live.status('waiting')
  live.connection.topics.add('a')
  await live.status('open')
  t.equal(s.requests[1]!.url, '/events?topic=a')
})
