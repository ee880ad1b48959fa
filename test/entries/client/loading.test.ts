import t from 'tap'
import { deferred } from '../../kit/deferred.js'
import { answering, CONNECTED, Live, stream } from '../../kit/live.js'
import { serve } from '../../kit/server.js'

t.test(
  'No silent gap: the state is loaded at the first connect, and events that come meanwhile follow in order',
  async (t) => {
    const s = await serve(t, { sse: { retry: 10 } })
    const loaded = deferred<string>()
    const reasons: string[] = []
    const live = new Live(t, `${s.url}/events`, {
      load: ({ reason }) => {
        reasons.push(reason)
        return loaded.promise as Promise<never>
      }
    })
    await live.status('open')
    s.app.sse.broadcast(1)
    // Cut while it loads: what has come is not asked for again.
    for (const client of s.app.sse.clients) client.close()
    s.app.sse.broadcast(2)
    await live.opened(2)
    t.match(live.connection.status, { state: 'open', loading: true, transport: 'stream' })
    t.strictSame(live.data, [])
    loaded.resolve('state')
    t.strictSame(await live.take(2), [1, 2])
    t.match(live.connection.status, { state: 'open', loading: false })
    for (const client of s.app.sse.clients) client.close()
    await live.opened(3)
    t.strictSame(reasons, ['connect'], 'what resumes has the state')
  }
)

t.test('the state is loaded again after missed events, once the listeners have been told', async (t) => {
  const s = await serve(t, { sse: { retry: 10 } })
  const told: unknown[] = []
  const live = new Live(t, `${s.url}/events`, {
    lastEventId: 'gone-1',
    load: ({ reason }) => told.push(reason) as never
  })
  live.connection.on('resync', ({ reason, missed }, { id }) => told.push([reason, missed, typeof id]))
  await live.status('open')
  s.app.sse.broadcast(1)
  await live.until(1)
  t.strictSame(told, [['unknown', null, 'string'], 'unknown'], 'and not once more for the connect')
})

t.test('two loads never overlap', async (t) => {
  const resync = (id: string) => `id: ${id}\nevent: resync\ndata: {"reason":"overflow","missed":2}\n\n`
  const s = await answering(t, stream(`${CONNECTED}${resync('b')}data: 1\n\n${resync('c')}data: 2\n\n`))
  let running = 0
  const steps: unknown[] = []
  const live = new Live(t, `${s.url}/events`, {
    load: async ({ reason }) => {
      steps.push([reason, ++running])
      await new Promise((resolve) => setImmediate(resolve))
      running--
      return undefined as never
    }
  })
  live.connection.on('message', (data) => steps.push(data))
  await live.until(2)
  t.strictSame(steps, [['connect', 1], ['overflow', 1], 1, ['overflow', 1], 2])
})

t.test('a failed load is reported, and repeated until the connection is closed', async (t) => {
  const s = await answering(t, stream(`${CONNECTED}data: 1\n\n`))
  let calls = 0
  const load = () => {
    if (++calls < 3) throw new Error(`no ${calls}`)
    return undefined as never
  }
  const live = new Live(t, `${s.url}/events`, { load })
  t.strictSame(await live.take(1), [1])
  t.match(live.errors, [{ message: 'no 1' }, { message: 'no 2' }])

  const failing = new Live(t, `${s.url}/events`, { load: () => Promise.reject(new Error('never')), retryDelay: 1e6 })
  await failing.failed()
  failing.connection.close()
  t.equal(failing.connection.status.state, 'closed')

  const closing: Live = new Live(t, `${s.url}/events`, { load: () => Promise.reject(new Error('never')) })
  closing.connection.on('error', () => closing.connection.close())
  await closing.status('closed')

  const late = deferred()
  const hanging = new Live(t, `${s.url}/events`, {
    load: async ({ signal }) => {
      signal.addEventListener('abort', () => late.resolve())
      await late.promise
      throw signal.reason
    }
  })
  await hanging.status('open')
  hanging.connection.close()
  await late.promise
  t.strictSame([hanging.errors, hanging.data], [[], []], 'what it is waiting for is aborted')
})

t.test('events older than the loaded state are left out if the app can tell', async (t) => {
  const s = await answering(t, stream(`${CONNECTED}data: 1\n\ndata: 2\n\ndata: 3\n\n`))
  const live = new Live(t, `${s.url}/events`, {
    load: () => 2 as never,
    isStale: ({ data }, version) => {
      if (data === 3) throw new Error('which one?')
      return data < version
    }
  })
  await live.failed()
  t.strictSame(live.data, [2], 'an event whose check throws is left out, too')
  t.match(live.errors, [{ message: 'which one?' }])
})

t.test('Bounded: while the state loads, the stream is read only as far as the buffer has room', async (t) => {
  const s = await serve(t, { sse: { retry: 10, queueDepth: 10 } })
  const first = deferred()
  let loads = 0
  const live = new Live(t, `${s.url}/events`, {
    maxBuffered: 10,
    load: async () => {
      if (++loads === 1) await first.promise
      return undefined as never
    }
  })
  await live.status('open')
  // More than all buffers on the way take: what the client does not read falls out at the server.
  for (let i = 0; i < 60; i++) {
    s.app.sse.broadcast('x'.repeat(200_000))
    await new Promise((resolve) => setImmediate(resolve))
  }
  first.resolve()
  s.app.sse.broadcast('last')
  await live.until('last')
  t.ok(s.app.sse.stats().resyncs.overflow > 0)
  t.ok(live.events.some(({ event }) => event === 'resync'))
  t.ok(loads >= 2)
})

t.test('a connection that is closed while it is full ends', async (t) => {
  const s = await answering(t, stream(`${CONNECTED}data: 1\n\ndata: 2\n\n`))
  const live = new Live(t, `${s.url}/events`, { maxBuffered: 1, load: () => new Promise<never>(() => {}) })
  await live.status('open')
  await new Promise((resolve) => setImmediate(resolve))
  live.connection.close()
  t.strictSame(live.data, [])
})

t.test('with a storage it resumes where an earlier instance was, and starts anew without an entry', async (t) => {
  const s = await serve(t, { sse: { retry: 10 } })
  const items = new Map<string, string>()
  const storage = {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value)
  }
  t.intercept(globalThis, 'sessionStorage' as never, { value: storage })
  const first = new Live(t, `${s.url}/events`, { storage: true })
  await first.status('open')
  s.app.sse.broadcast(1)
  await first.until(1)
  first.connection.close()
  s.app.sse.broadcast(2)
  const second = new Live(t, `${s.url}/events`, { storage })
  t.strictSame(await second.take(1), [2])
  t.strictSame([...items.keys()], [`pylon-sse ${s.url}/events`])

  const forbidden = () => {
    throw new Error('forbidden')
  }
  const third = new Live(t, () => `${s.url}/events`, { storage: { getItem: forbidden, setItem: forbidden } })
  await third.status('open')
  t.intercept(globalThis, 'sessionStorage' as never, { get: forbidden })
  const fourth = new Live(t, `${s.url}/events`, { storage: true })
  await fourth.status('open')
  s.app.sse.broadcast(3)
  t.strictSame([await third.take(1), await fourth.take(1)], [[3], [3]])
  t.strictSame([third.errors, fourth.errors], [[], []])
})
