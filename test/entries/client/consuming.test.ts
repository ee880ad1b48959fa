import t from 'tap'
import { connect } from '../../../lib/entries/client/client.js'
import { answering, CONNECTED, Live, status, stream } from '../../kit/live.js'
import { serve } from '../../kit/server.js'

const THREE = `${CONNECTED}event: n\ndata: 1\n\nevent: n\ndata: 2\n\ndata: 3\n\n`

t.test('a callback gets the events of its name until it is removed, and twice if it was added twice', async (t) => {
  const s = await answering(t, stream(THREE))
  const live = new Live(t, `${s.url}/events`)
  const got: unknown[] = []
  const listen = (data: unknown) => {
    got.push(data)
  }
  const off = live.connection.on('n', (data) => {
    got.push(`once ${data}`)
    off()
    off()
  })
  live.connection.on('n', listen)
  live.connection.on('n', listen)
  live.connection.on('message', listen)
  await live.take(3)
  t.strictSame(got, ['once 1', 1, 1, 2, 2, 3])
})

t.test('an error in a callback is reported, and stops neither the stream nor other callbacks', async (t) => {
  const s = await answering(t, stream(THREE))
  const live = new Live(t, `${s.url}/events`)
  const failing = () => {
    throw new Error('mine')
  }
  live.connection.on('n', failing)
  live.connection.onStatus(failing)
  await live.take(3)
  t.strictSame(live.data, [1, 2, 3])
  t.match(live.errors, [{ message: 'mine' }, { message: 'mine' }, { message: 'mine' }])
  t.notMatch(live.connection.status, { state: 'closed' })
})

t.test('an error without a listener, or thrown by an error listener, is reported to the console', async (t) => {
  const s = await answering(t, stream(THREE))
  const logged = t.capture(console, 'error', () => {})
  const live = connect(`${s.url}/events`)
  const rest = new Promise<void>((resolve) => live.on('message', () => resolve()))
  live.on('n', () => {
    throw new Error('unheard')
  })
  await rest
  t.match(logged.args(), [[{ message: 'unheard' }], [{ message: 'unheard' }]])
  live.on('error', () => {
    throw new Error('of the listener')
  })
  const reported: unknown[] = []
  t.intercept(globalThis, 'reportError' as never, { value: (error: unknown) => reported.push(error) })
  live.onStatus(() => {
    throw new Error('heard')
  })
  live.close()
  t.match(reported, [{ message: 'of the listener' }])
})

t.test('for await gives events until the loop is left or the connection is closed', async (t) => {
  const s = await answering(t, stream(THREE))
  const live = new Live(t, `${s.url}/events`)
  const got: unknown[] = []
  for await (const { event, data } of live.connection) {
    got.push([event, data])
    if (got.length === 3) break
  }
  t.strictSame(got, [
    ['n', 1],
    ['n', 2],
    ['message', 3]
  ])
  const rest = live.connection[Symbol.asyncIterator]()
  const next = rest.next()
  live.connection[Symbol.dispose]()
  t.strictSame(await next, { done: true, value: undefined })
  t.strictSame(await rest.next(), { done: true, value: undefined })
})

t.test('for await waits for later events', async (t) => {
  const s = await serve(t, {})
  const live = new Live(t, `${s.url}/events`)
  await live.status('open')
  const events = live.connection[Symbol.asyncIterator]()
  for (const n of [1, 2]) {
    const next = events.next()
    await new Promise((resolve) => setTimeout(resolve, 10))
    s.app.sse.broadcast(n)
    t.match(await next, { done: false, value: { data: n } })
  }
  t.strictSame(await events.return!(), { done: true, value: undefined })
})

t.test('for await throws the error that has closed the connection', async (t) => {
  const s = await answering(t, status(404))
  const live = new Live(t, `${s.url}/events`)
  await t.rejects(
    async () => {
      for await (const _ of live.connection) t.fail('there are none')
    },
    { code: 'status', status: 404 }
  )
})

t.test('Bounded: a for await that is too slow loses its oldest events, and gets a resync in their place', async (t) => {
  const s = await answering(t, stream(THREE))
  const live = new Live(t, `${s.url}/events`, { maxBuffered: 2 })
  const slow = live.connection[Symbol.asyncIterator]()
  await live.take(3)
  t.match((await slow.next()).value, { event: 'resync', data: { reason: 'overflow', missed: 1 }, id: undefined })
  t.match([(await slow.next()).value, (await slow.next()).value], [{ data: 2 }, { data: 3 }])
})

t.test('data is checked by the schema of its event, which may be async', async (t) => {
  const s = await answering(t, stream(THREE))
  const live = new Live(t, `${s.url}/events`, {
    schemas: {
      n: {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: async (value) =>
            value === 1 ? { value: `number ${value}` } : { issues: [{ message: `${value} is too much` }] }
        }
      }
    }
  })
  t.strictSame(await live.take(2), ['number 1', 3])
  t.match(live.errors, [
    {
      code: 'invalid-data',
      message: "The data of the event 'n' are not what its schema takes.",
      issues: [{ message: '2 is too much' }]
    }
  ])
})

t.test('a connection that is closed during an async check gives no more events', async (t) => {
  const s = await answering(t, stream(THREE))
  const live: Live = new Live(t, `${s.url}/events`, {
    schemas: {
      n: {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: async (value) => {
            live.connection.close()
            return { value }
          }
        }
      }
    }
  })
  await live.status('closed')
  await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(live.data, [])
})

t.test('a signal closes the connection, even if it aborted before', async (t) => {
  const s = await answering(t, stream(THREE))
  const controller = new AbortController()
  const live = new Live(t, `${s.url}/events`, { signal: controller.signal })
  await live.take(3)
  controller.abort()
  t.match(live.connection.status, { state: 'closed', reason: 'closed', error: undefined })
  const late = connect(`${s.url}/events`, { signal: controller.signal })
  t.match(late.status, { state: 'closed', reason: 'closed' })
  t.equal(s.requests.length, 1, 'no request is made')
})

t.test('a connection can be closed at any time', async (t) => {
  const s = await answering(t, stream(THREE), status(500))
  const at = {
    'before its first request': async () => {},
    'while it is open': (live: Live) => live.take(3),
    'while it waits': (live: Live) => live.status('waiting'),
    'while its URL is made': async (live: Live) => void live
  }
  for (const [when, wait] of Object.entries(at)) {
    const url = when.endsWith('made') ? async () => `${s.url}/events` : `${s.url}/events`
    const live = new Live(t, url)
    await wait(live)
    live.connection.close()
    await new Promise((resolve) => setTimeout(resolve, 20))
    t.equal(live.states.at(-1), 'closed', when)
    t.equal(live.states.indexOf('closed'), live.states.length - 1)
  }
})
