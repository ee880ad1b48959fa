import { EventSource, type EventSourceFetchInit } from 'eventsource'
import t, { type Test } from 'tap'
import type { SseClient } from '../../lib/index.js'
import { gate } from '../kit/deferred.js'
import { broadcastNumbers } from '../kit/numbered.js'
import { type Served, serve } from '../kit/server.js'
import { Watch } from '../kit/watch.js'

/** An EventSource that keeps what it was told, until the end of the test. */
class Browser {
  readonly messages: MessageEvent[] = []
  /** What it asked for, and how it was answered, request by request. */
  readonly requests: { headers: Record<string, string>; answer?: Response }[] = []
  opened = 0
  readonly source: EventSource
  readonly #watch = new Watch(
    () => `${this.opened} times open, ${JSON.stringify(this.messages.map(({ type, data }) => `${type}: ${data}`))}`
  )

  constructor(t: Test, url: string, { names = [], origin }: { names?: string[]; origin?: string } = {}) {
    const fetching = async (url: string | URL, init: EventSourceFetchInit) => {
      const headers = { ...init.headers, ...(origin && { origin }) }
      const request: (typeof this.requests)[number] = { headers }
      this.requests.push(request)
      request.answer = await fetch(url, { ...init, headers } as RequestInit)
      return request.answer
    }
    this.source = new EventSource(url, { fetch: fetching })
    this.source.addEventListener('open', () => {
      this.opened++
      this.#watch.changed()
    })
    for (const name of ['message', 'resync', ...names]) {
      this.source.addEventListener(name, (message) => {
        this.messages.push(message)
        this.#watch.changed()
      })
    }
    t.teardown(() => this.source.close())
  }

  get data(): string[] {
    return this.messages.map(({ data }) => data)
  }

  waitForMessages(n: number): Promise<MessageEvent[]> {
    return this.#watch.until(() => (this.messages.length >= n ? this.messages : undefined), `${n} messages`)
  }

  waitForOpen(times: number): Promise<true> {
    return this.#watch.until(() => this.opened >= times || undefined, `it to open ${times} times`)
  }
}

function closeAll({ app }: Served): void {
  for (const client of app.sse.clients) client.close()
}

t.test('an EventSource gets messages, and named events under their names', async (t) => {
  const served = await serve(t)
  const browser = new Browser(t, `${served.url}/events`, { names: ['todo.created'] })
  await browser.waitForOpen(1)
  served.app.sse.broadcast({ id: 7 }, { event: 'todo.created' })
  served.app.sse.broadcast({ id: 7 }, { event: 'nobody listens' })
  const id = await served.app.sse.publish('hello')
  served.app.sse.broadcastMessage('two\r\nlines')
  const messages = await browser.waitForMessages(3)
  t.match(messages, [
    { type: 'todo.created', data: '{"id":7}' },
    { type: 'message', data: '"hello"', lastEventId: id },
    { type: 'message', data: 'two\nlines' }
  ])
})

t.test('an EventSource reconnects after the time that it was given, and misses nothing', async (t) => {
  const served = await serve(t, { sse: { retry: 30 } })
  const browser = new Browser(t, `${served.url}/events`)
  await browser.waitForOpen(1)
  const since = performance.now()
  let n = 0
  for (let visit = 1; visit <= 4; visit++) {
    broadcastNumbers(served.app, n + 1, n + 3)
    n += 3
    await browser.waitForMessages(n)
    closeAll(served)
    broadcastNumbers(served.app, n + 1, n + 2)
    n += 2
    await browser.waitForMessages(n)
  }
  t.ok(performance.now() - since < 4 * 3000, 'sooner than it would by itself')
  t.strictSame(
    browser.data.map(Number),
    Array.from({ length: n }, (_, i) => i + 1)
  )
  t.strictSame(
    browser.requests.map(({ headers }) => headers['Last-Event-ID']),
    [undefined, 3, 8, 13, 18].map((n) => n && browser.messages[n - 1]!.lastEventId)
  )
  t.equal(browser.source.readyState, EventSource.OPEN)
})

t.test('an EventSource resumes from an id of the app', async (t) => {
  const served = await serve(t, { sse: { retry: 30 } })
  const browser = new Browser(t, `${served.url}/events`)
  await browser.waitForOpen(1)
  served.app.sse.broadcast(1, { id: 'order & "more"' })
  await browser.waitForMessages(1)
  closeAll(served)
  broadcastNumbers(served.app, 2, 3)
  await browser.waitForMessages(3)
  t.strictSame(browser.data.map(Number), [1, 2, 3])
})

t.test('an EventSource that was away for too long gets a resync, then live events', async (t) => {
  const away = gate()
  let visits = 0
  const preHandler = async () => (++visits === 2 ? away.pass() : undefined)
  const served = await serve(t, { sse: { retry: 30, history: { events: 3 }, route: { preHandler } } })
  const browser = new Browser(t, `${served.url}/events`)
  await browser.waitForOpen(1)
  broadcastNumbers(served.app, 1, 2)
  await browser.waitForMessages(2)
  closeAll(served)
  await away.reached
  broadcastNumbers(served.app, 3, 10)
  away.open()
  await browser.waitForOpen(2)
  broadcastNumbers(served.app, 11, 11)
  const messages = await browser.waitForMessages(4)
  t.match(messages.slice(2), [
    { type: 'resync', data: '{"reason":"expired","missed":8}' },
    { type: 'message', data: /^11/ }
  ])

  closeAll(served)
  broadcastNumbers(served.app, 12, 12)
  t.match((await browser.waitForMessages(5)).slice(4), [{ type: 'message', data: /^12/ }], 'it is told once')
})

t.test('an EventSource whose onConnect failed reconnects, and is admitted', async (t) => {
  let visits = 0
  const onConnect = async (client: SseClient) => {
    if (++visits === 1) throw new Error('no snapshot')
    client.send('snapshot')
  }
  const served = await serve(t, { sse: { retry: 30, onConnect } })
  const browser = new Browser(t, `${served.url}/events`)
  await browser.waitForOpen(2)
  t.match(await browser.waitForMessages(1), [{ data: '"snapshot"' }])
})

t.test('an EventSource reads the stream of another origin, and each origin by itself', async (t) => {
  const [one, two] = [await serve(t), await serve(t)]
  const page = { origin: 'http://page.example' }
  const browsers = [one, two].map(({ url }) => new Browser(t, `${url}/events`, page))
  await Promise.all(browsers.map((browser) => browser.waitForOpen(1)))
  one.app.sse.broadcast('of one')
  two.app.sse.broadcast('of two')
  for (const [i, browser] of browsers.entries()) {
    const [served, data] = i === 0 ? [one, '"of one"'] : [two, '"of two"']
    t.match(await browser.waitForMessages(1), [{ data, origin: served.url }])
    t.equal(browser.requests[0]?.answer?.headers.get('access-control-allow-origin'), '*')
  }
})

t.test('an EventSource that is answered with 204 does not reconnect', async (t) => {
  let visits = 0
  const served = await serve(t, {
    sse: {
      retry: 30,
      route: { preHandler: async (_request, reply) => (++visits > 1 ? reply.code(204).send() : undefined) }
    }
  })
  const browser = new Browser(t, `${served.url}/events`)
  await browser.waitForOpen(1)
  const failed = new Promise((resolve) => {
    browser.source.addEventListener('error', () => browser.source.readyState === EventSource.CLOSED && resolve(true))
  })
  closeAll(served)
  await failed
  t.equal(visits, 2)
  t.equal(served.app.sse.clientCount, 0)
})
