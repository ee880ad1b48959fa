import { setTimeout as sleep } from 'node:timers/promises'
import compress from '@fastify/compress'
import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import type { PylonSseOptions, SseClient, StreamEvent, StreamOptions } from '../../lib/index.js'
import { requireBinary } from '../kit/binary.js'
import { gate } from '../kit/deferred.js'
import { LogLines } from '../kit/log-lines.js'
import { type ServeOptions, serve } from '../kit/server.js'

/** An app whose route `/stream`, of any method, answers with a stream. */
async function serveStream(t: Test, options: StreamOptions = {}, sse: PylonSseOptions = {}, more: ServeOptions = {}) {
  const setup = (app: FastifyInstance) => {
    app.route({
      method: ['GET', 'POST'],
      url: '/stream',
      handler: (request, reply) => app.sse.stream(request, reply, options)
    })
  }
  const s = await serve(t, { setup, sse, ...more })
  const open = (request: Parameters<typeof s.connect>[0] = {}) => s.connect({ path: '/stream', ...request })
  return { ...s, open }
}

const dataOf = (events: { data: string }[]) => events.map(({ data }) => JSON.parse(data))

t.test('a route decides which topics a client gets, and authorizeTopics is not called', async (t) => {
  const s = await serve(t, {
    sse: { authorizeTopics: () => false },
    setup: (app) => {
      app.register(async (scope) => {
        scope.addHook('onRequest', async (request, reply) => {
          if (request.headers['x-user'] === undefined) return reply.code(401).send()
        })
        scope.get('/rooms/:id/events', (request, reply) =>
          app.sse.stream(request, reply, { topics: [`room.${(request.params as { id: string }).id}`] })
        )
      })
    }
  })
  t.equal((await s.connect({ path: '/rooms/7/events' })).status, 401)
  const client = await s.connect({ path: '/rooms/7/events', headers: { 'x-user': 'ann' } })
  s.app.sse.broadcast('other', { topic: 'room.8' })
  s.app.sse.broadcast('ours', { topic: 'room.7' })
  s.app.sse.broadcast('for everyone')
  t.strictSame(dataOf(await client.take(2)), ['ours', 'for everyone'])
})

t.test('app.sse.stream answers any method, in async handlers and others', async (t) => {
  const s = await serve(t, {
    setup: (app) => {
      app.post('/plain', (request, reply) => app.sse.stream(request, reply))
      app.post('/async', async (request, reply) => app.sse.stream(request, reply))
      app.post('/later', async (request, reply) => {
        await sleep(1)
        await app.sse.stream(request, reply)
      })
      app.get('/get', (request, reply) => {
        void app.sse.stream(request, reply)
      })
    }
  })
  const headers = { 'content-type': 'application/json' }
  for (const path of ['/plain', '/async', '/later']) {
    const response = await fetch(`${s.url}${path}`, { method: 'POST', body: '{"q":1}', headers })
    t.equal(response.headers.get('content-type'), 'text/event-stream', path)
    await response.body!.cancel()
  }
  const client = await s.connect({ path: '/get' })
  s.app.sse.broadcast(1)
  t.equal((await client.next()).data, '1')
})

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

t.test('a stream has an onConnect and a state of its own', async (t) => {
  const states: unknown[] = []
  const s = await serveStream(
    t,
    {
      state: { user: 'ann' },
      onConnect: (client: SseClient, { url }: FastifyRequest) => {
        states.push([client.state, url])
        client.send('hello')
      }
    },
    { onConnect: () => void states.push('of the plugin') }
  )
  const client = await s.open()
  t.equal((await client.next()).data, '"hello"')
  await s.connect()
  t.strictSame(states, [[{ user: 'ann' }, '/stream'], 'of the plugin'])
})

t.test('invalid options are refused by name', async (t) => {
  const wrong: [options: unknown, message: RegExp][] = [
    [7, /'options' got 7; it takes an object/],
    [{ topic: 'a' }, /'topic' does not exist; did you mean 'topics'/],
    [{ topics: 'a' }, /'topics' got 'a'; it takes an array/],
    [{ everyone: 1 }, /'everyone'/],
    [{ from: '' }, /'from'/],
    [{ until: 7 }, /'until'/],
    [{ state: null }, /'state' got null/],
    [{ onConnect: 'x' }, /'onConnect'/],
    [{ topics: ['a\nb'] }, /cannot subscribe/]
  ]
  for (const [options, message] of wrong) {
    const s = await serveStream(t, options as StreamOptions)
    const response = await fetch(`${s.url}/stream`)
    t.match(((await response.json()) as { message: string }).message, message)
  }
})

t.test('limits, negotiation, HEAD, the page and inject are as on the route of the plugin', async (t) => {
  const s = await serveStream(
    t,
    { topics: ['a'], everyone: false },
    { maxClientsPerIp: 1, overLimit: 'status', compress: true }
  )
  for (let i = 0; i < 2; i++) s.app.sse.broadcast('x'.repeat(600), { topic: 'a' })
  s.app.sse.broadcast('not this')
  const page = await fetch(`${s.url}/stream`, { headers: { accept: 'application/json' } })
  t.equal(((await page.json()) as { events: unknown[] }).events.length, 2)
  const head = await fetch(`${s.url}/stream`, { method: 'HEAD' })
  t.equal(head.headers.get('content-type'), 'text/event-stream')
  t.equal((await fetch(`${s.url}/stream`, { headers: { accept: 'text/html' } })).status, 406)
  t.equal((await s.app.inject('/stream')).json().code, 'PYLON_SSE_ERR_INJECT')
  const client = await s.open({ headers: { 'accept-encoding': 'gzip' } })
  t.equal(client.headers.get('content-encoding'), 'gzip')
  t.equal((await s.open()).status, 429)
  s.app.sse.broadcast(1, { topic: 'a' })
  t.equal((await client.next()).data, '1')
  await client.close()
})

t.test('a page waits for an event of its topics, and for no other', async (t) => {
  const s = await serveStream(t, { topics: ['a'], everyone: false })
  const since = await s.app.sse.publish(0)
  const page = fetch(`${s.url}/stream?since=${since}&wait=10000`, { headers: { accept: 'application/json' } })
  while (s.app.sse.stats().events < 40) {
    s.app.sse.broadcast('not this')
    await new Promise(setImmediate)
  }
  await sleep(50)
  s.app.sse.broadcast('this', { topic: 'a' })
  t.match(await (await page).json(), { events: [{ data: 'this', topic: 'a' }] })
})

t.test('headers that hooks set come with the stream, whether they are added before or after the route', async (t) => {
  const s = await serve(t, {
    setup: async (app) => {
      app.get('/stream', (request, reply) => {
        reply.header('x-handler', '1')
        return app.sse.stream(request, reply)
      })
      await app.register(cookie)
      await app.register(compress)
      app.addHook('onSend', async (_request, reply) => {
        reply.header('x-hook', '1')
        ;(reply as FastifyReply & { setCookie(name: string, value: string): void }).setCookie('a', 'b')
      })
    }
  })
  const client = await s.connect({ path: '/stream', headers: { 'accept-encoding': 'gzip, br' } })
  t.strictSame([client.headers.get('x-handler'), client.headers.get('x-hook')], ['1', '1'])
  t.match(client.headers.get('set-cookie'), /^a=b/)
  t.equal(client.headers.get('content-encoding'), null)
  s.app.sse.broadcast(1)
  t.equal((await client.next()).data, '1')
})

t.test('a hook that makes something else of the stream is answered with an error, and holds no slot', async (t) => {
  const { PassThrough, Readable } = await import('node:stream')
  const hooks: Record<string, (payload: InstanceType<typeof Readable>) => unknown> = {
    piped: (payload) => payload.pipe(new PassThrough()),
    read: (payload) => payload.on('data', () => {})
  }
  const s = await serve(t, {
    sse: { maxClientsPerIp: 1 },
    setup: (app) => {
      for (const [name, make] of Object.entries(hooks)) {
        const onSend = async (_request: unknown, _reply: unknown, payload: unknown) =>
          payload instanceof Readable ? make(payload) : payload
        app.get(`/${name}`, { onSend }, (request, reply) => app.sse.stream(request, reply))
      }
    }
  })
  for (const name of Object.keys(hooks)) {
    const response = await fetch(`${s.url}/${name}`)
    t.match(await response.json(), { code: 'PYLON_SSE_ERR_STREAM_CONSUMED' }, name)
    t.equal(s.app.sse.clientCount, 0)
  }
  t.equal((await s.connect()).status, 200, 'the slot is free')
})

for (const transport of ['http2', 'h2c'] as const) {
  t.test(`it works over ${transport}`, async (t) => {
    if (transport === 'http2' && !requireBinary(t, 'openssl')) return
    const s = await serveStream(t, { until: 'end' }, {}, { transport })
    const client = await s.connectH2({ path: '/stream' })
    s.app.sse.broadcast(1)
    s.app.sse.broadcast(2, { event: 'end' })
    t.strictSame(dataOf(await client.take(2)), [1, 2])
    await client.waitForEnd()
  })
}

t.test('closing ends such streams, and answers requests that arrive meanwhile', async (t) => {
  const held = gate()
  let waiting = 0
  const s = await serve(t, {
    setup: (app) => {
      app.get('/stream', (request, reply) => app.sse.stream(request, reply))
      const onSend = async (_request: unknown, _reply: unknown, payload: unknown) => {
        waiting++
        await held.pass()
        return payload
      }
      app.get('/held', { onSend }, (request, reply) => app.sse.stream(request, reply))
    }
  })
  const client = await s.connect({ path: '/stream' })
  const lenient = s.connect({ path: '/held' })
  const strict = s.connect({ path: '/held', headers: { accept: '*/*' } })
  while (waiting < 2) await new Promise(setImmediate)
  const closing = s.app.close()
  await client.waitForEnd()
  t.ok(await client.waitForRetry())
  await held.open()
  const late = await lenient
  await late.waitForEnd()
  t.equal(late.status, 200)
  t.ok(await late.waitForRetry(), 'an EventSource is told when to come back')
  t.equal((await strict).status, 503)
  await closing
})

t.test('with path: false there is no route but those of the app', async (t) => {
  const s = await serveStream(t, {}, { path: false })
  t.equal((await s.connect()).status, 404)
  const client = await s.open()
  s.app.sse.broadcast(1)
  t.equal((await client.next()).data, '1')
  await t.rejects(serve(t, { sse: { path: false, publish: {} } }), { message: /publish/ })
})

t.test('client.signal and request.signal abort when such a stream ends', async (t) => {
  const aborted: string[] = []
  const s = await serve(t, {
    setup: (app) => {
      app.post('/stream', (request, reply) => {
        request.signal.addEventListener('abort', () => aborted.push('request'))
        const onConnect = ({ signal }: SseClient) => signal.addEventListener('abort', () => aborted.push('client'))
        return app.sse.stream(request, reply, { onConnect })
      })
    }
  })
  const client = await s.connect({ path: '/stream', method: 'POST' })
  s.app.sse.broadcast(1)
  await client.next()
  await client.close()
  while (aborted.length < 2) await new Promise(setImmediate)
  t.strictSame(aborted.sort(), ['client', 'request'])
})

t.test('while the app closes, an EventSource on such a route is told when to reconnect', async (t) => {
  const held = gate()
  let slow = 0
  const s = await serve(t, {
    setup: (app) => {
      app.get('/rooms/:id/events', (request, reply) => app.sse.stream(request, reply))
      app.get('/files/*', (request, reply) => app.sse.stream(request, reply))
      app.get('/slow', async () => {
        slow++
        return held.pass().then(() => 'slow')
      })
    }
  })
  const clients = [await s.connect({ path: '/rooms/1/events' }), await s.connect({ path: '/files/a/b' })]
  // Each on a connection that was there before.
  const busy = await Promise.all(Array.from({ length: 4 }, () => s.connect({ path: '/slow', waitForHead: false })))
  while (slow < busy.length) await new Promise(setImmediate)
  const closing = s.app.close()
  for (const client of clients) await client.waitForEnd()
  const asked = [
    busy[0]!.request({ path: '/rooms/2/events' }),
    busy[1]!.request({ path: '/rooms/2/events', headers: { accept: '*/*' } }),
    busy[2]!.request({ path: '/files/c' }),
    busy[3]!.request({ path: '/rooms/2/other' })
  ]
  await held.open()
  await Promise.all(asked.map((answer) => answer.head()))
  t.strictSame(
    asked.map(({ status }) => status),
    [200, 503, 503, 503]
  )
  t.ok(await asked[0]!.waitForRetry())
  await closing
})

t.test('a handler may return app.sse.stream whatever its reply type is', async (t) => {
  const s = await serve(t, {
    setup: (app) => {
      interface Route {
        Params: { id: string }
        Reply: { 200: { ok: boolean } }
      }
      app.get<Route>('/typed/:id', (request, reply) =>
        app.sse.stream(request, reply, { topics: [`room.${request.params.id}`] })
      )
      app.get<Route>('/async/:id', async (request, reply) => {
        if (request.params.id === '0') return { ok: false }
        return app.sse.stream(request, reply)
      })
      app.get('/plain', async (request, reply) => app.sse.stream(request, reply))
      // @ts-expect-error there is no such option
      app.get('/wrong', (request, reply) => app.sse.stream(request, reply, { topic: 'x' }))
    }
  })
  t.strictSame(await (await fetch(`${s.url}/async/0`)).json(), { ok: false })
  t.equal((await s.connect({ path: '/typed/1' })).status, 200)
})
