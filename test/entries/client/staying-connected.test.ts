import t, { type Test } from 'tap'
import { answering, CONNECTED, Live, status, stream } from '../../kit/live.js'
import { serve } from '../../kit/server.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

/** Puts a page around the client, which tests can have events of. */
function addPage(t: Test) {
  const page = new EventTarget()
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible', baseURI: 'http://127.0.0.1' })
  t.intercept(globalThis, 'document' as never, { value: document })
  for (const name of ['addEventListener', 'removeEventListener'] as const) {
    t.intercept(globalThis, name as never, { value: page[name].bind(page) })
  }
  return {
    happen: (type: string, fields: object = {}) => page.dispatchEvent(Object.assign(new Event(type), fields)),
    turn(visibilityState: 'visible' | 'hidden') {
      Object.assign(document, { visibilityState })
      document.dispatchEvent(new Event('visibilitychange'))
    }
  }
}

t.test('a connection that is cut resumes, and misses nothing', async (t) => {
  const s = await serve(t, { sse: { retry: 10 } })
  const proxy = await TcpProxy.to(t, s.port!)
  const live = new Live(t, `http://127.0.0.1:${proxy.port}/events`)
  await live.status('open')
  for (let n = 1; n <= 3; n++) {
    proxy.cut()
    s.app.sse.broadcast(n)
    proxy.mend()
    await live.until(n)
  }
  t.strictSame(live.data, [1, 2, 3])
  t.ok(live.errors.length >= 3, 'it tells of each failure')
})

t.test('a stream that ends properly is no error', async (t) => {
  const s = await serve(t, { sse: { retry: 10 } })
  const live = new Live(t, `${s.url}/events`)
  await live.status('open')
  for (const client of s.app.sse.clients) client.close()
  await live.opened(2)
  t.strictSame(live.states, ['connecting', 'open', 'waiting', 'connecting', 'open'])
  t.match(live.statuses[2], { error: undefined })
  t.strictSame(live.errors, [])
})

t.test(
  'pauses grow with each failure, up to maxRetryDelay, and are never shorter than the server asks for',
  async (t) => {
    const s = await answering(t, stream('retry: 5\ndata: 1\n\n', true), status(500))
    const live = new Live(t, `${s.url}/events`, { maxRetryDelay: 20 })
    t.intercept(Math, 'random', { value: () => 1 })
    const delays: number[] = []
    let at = 0
    t.intercept(Date, 'now', { value: () => at })
    live.connection.onStatus((status) => {
      if (status.state === 'waiting') delays.push(status.retryAt - at)
      at += 100
    })
    await live.failed(3)
    t.strictSame(delays.slice(0, 4), [10, 15, 20, 20])
  }
)

t.test('after 503 and 429 the client waits as Retry-After says, which nothing shortens', async (t) => {
  const page = addPage(t)
  const date = (ms: number) => new Date(Date.now() + ms).toUTCString()
  for (const [code, value] of [
    [503, '3600'],
    [429, date(3_600_000)]
  ] as const) {
    const s = await answering(t, status(code, { 'retry-after': value }))
    const live = new Live(t, `${s.url}/events`)
    const { retryAt, error } = await live.status('waiting')
    t.ok(Math.abs(retryAt - Date.now() - 3_600_000) < 20_000)
    t.match(error, { code: 'status', status: code, message: `The server has answered ${code}.` })
    page.happen('online')
    t.equal(live.connection.status.state, 'waiting')
  }
  const s = await answering(
    t,
    status(503, { 'retry-after': '0' }),
    status(503, { 'retry-after': '?' }),
    status(503),
    stream()
  )
  await new Live(t, `${s.url}/events`).status('open')
})

t.test('204, stay-away and 4xx are final', async (t) => {
  const stayAway = `${CONNECTED}id: stay-away\nevent: stay-away\ndata: {}\n\n`
  for (const [answer, reason, code] of [
    [status(204), 'completed'],
    [stream(stayAway, true), 'stay-away'],
    [status(404), 'refused', 404],
    [status(410), 'refused', 410],
    [status(401), 'unauthorized', 401]
  ] as const) {
    const s = await answering(t, answer)
    const live = new Live(t, `${s.url}/events`)
    const closed = await live.status('closed')
    t.equal(closed.reason, reason)
    t.equal((closed.error as { status?: number } | undefined)?.status, code)
    t.equal(s.requests.length, 1)
    live.connection.close()
    live.connection.topics.add('late')
    t.equal(live.connection.status, closed, 'it has ended already')
  }
})

t.test('the body of an answer that is final can be read', async (t) => {
  const s = await answering(t, (reply) => reply.code(404).send({ why: 'gone' }))
  const { error } = await new Live(t, `${s.url}/events`).status('closed')
  t.strictSame(await (error as { response: Response }).response.json(), { why: 'gone' })
})

t.test('a client that the server has told to stay away does not reconnect', async (t) => {
  const s = await serve(t)
  const live = new Live(t, `${s.url}/events`)
  await live.status('open')
  for (const client of s.app.sse.clients) client.close({ reconnect: false })
  t.equal((await live.status('closed')).reason, 'stay-away')
})

t.test('after 401 or 403 onUnauthorized is called once, and again only after the stream was open', async (t) => {
  const asked: number[] = []
  const s = await answering(t, status(401), stream(CONNECTED, true), status(403), stream(CONNECTED, true), status(401))
  const live = new Live(t, `${s.url}/events`, {
    headers: () => [['authorization', 'old']],
    onUnauthorized: async ({ response }) => {
      asked.push(response.status)
      return asked.length === 1 ? { authorization: 'fresh' } : undefined
    }
  })
  t.equal((await live.status('closed')).reason, 'unauthorized')
  t.strictSame(asked, [401, 403, 401])
  t.strictSame(
    s.requests.map(({ headers }) => headers.authorization),
    ['old', 'fresh', 'fresh', 'fresh', 'fresh', 'fresh']
  )
  t.strictSame(live.errors, [])
})

t.test('onUnauthorized can return false to close the connection, and is called again later if it throws', async (t) => {
  const s = await answering(t, status(401))
  let calls = 0
  const live = new Live(t, `${s.url}/events`, {
    onUnauthorized: () => {
      if (++calls < 3) throw new Error('offline')
      return false
    }
  })
  t.match(await live.status('closed'), { reason: 'unauthorized', error: { status: 401 } })
  t.equal(calls, 3)
  t.match(live.errors, [{ message: 'offline' }, { message: 'offline' }])
})

t.test('a connection that is closed while a token is fetched stays closed', async (t) => {
  const s = await answering(t, status(401))
  const live: Live = new Live(t, `${s.url}/events`, { onUnauthorized: () => live.connection.close() })
  t.equal((await live.status('closed')).reason, 'closed')
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal(s.requests.length, 1)
})

t.test('a first attempt that fails is repeated after one to two seconds', async (t) => {
  const s = await answering(t, status(500))
  const live = new Live(t, `${s.url}/events`, { retryDelay: undefined, maxRetryDelay: undefined })
  const now = Date.now()
  const { retryAt } = await live.status('waiting')
  t.ok(retryAt - now >= 1000 && retryAt - Date.now() <= 2000)
})

t.test('a connection that is silent for two keepalive intervals is given up', async (t) => {
  const greeting = CONNECTED.replace('30000', '10')
  const s = await answering(t, stream(greeting))
  const live = new Live(t, `${s.url}/events`)
  await live.opened(2)
  t.match(live.errors, [{ code: 'silent', message: 'Nothing has come for 1000 ms.' }])
  t.equal(s.requests[1]!.url, '/events?lastEventId=a')
})

t.test('a connection is kept as long as keepalives arrive', async (t) => {
  const s = await serve(t, { sse: { keepAliveInterval: 1000 } })
  const live = new Live(t, `${s.url}/events`)
  await live.status('open')
  await new Promise((resolve) => setTimeout(resolve, 3000))
  t.strictSame(live.states, ['connecting', 'open'])
})

t.test('a response whose first byte does not arrive is given up', async (t) => {
  const s = await answering(t, (reply) => reply.hijack(), stream())
  const live = new Live(t, `${s.url}/events`, { openTimeout: 50 })
  await live.status('open')
  t.match(live.errors, [{ code: 'silent' }])
})

t.test('the client connects at once when the network is back, the page is restored, or the tab is shown', async (t) => {
  const page = addPage(t)
  const wakes = [
    () => page.happen('online'),
    () => page.happen('pageshow', { persisted: true }),
    () => page.turn('visible')
  ]
  for (const wake of wakes) {
    const s = await answering(t, status(500), stream())
    const live = new Live(t, `${s.url}/events`, { retryDelay: 1e10, maxRetryDelay: 1e10 })
    await live.status('waiting')
    wake()
    await live.status('open')
  }
})

t.test('a connection from before the network was lost or the machine slept is opened again', async (t) => {
  const page = addPage(t)
  const s = await answering(t, stream())
  const live = new Live(t, `${s.url}/events`)
  await live.opened(1)
  page.happen('pageshow', { persisted: false })
  page.turn('hidden')
  page.turn('visible')
  t.equal(live.connection.status.state, 'open', 'a hidden tab stays connected')
  page.happen('online')
  await live.opened(2)
  page.happen('pageshow', { persisted: true })
  await live.opened(3)
  const now = Date.now()
  t.intercept(Date, 'now', { value: () => now + 3_600_000 })
  page.turn('visible')
  await live.opened(4)
  t.equal(s.requests.length, 4)
})

t.test('with pauseWhenHidden the client is connected only while the tab is shown', async (t) => {
  const page = addPage(t)
  const s = await answering(t, stream())
  page.turn('hidden')
  const live = new Live(t, `${s.url}/events`, { pauseWhenHidden: true })
  t.equal((await live.status('waiting')).retryAt, Number.POSITIVE_INFINITY)
  t.equal(s.requests.length, 0)
  page.turn('visible')
  await live.opened(1)
  page.turn('hidden')
  await live.status('waiting', live.statuses.length)
  page.turn('visible')
  await live.opened(2)
  live.connection.close()
  t.equal(s.requests.length, 2)
})
