import t from 'tap'
import type { PylonSseOptions, SseClient } from '../../../lib/index.js'
import { deferred, gate } from '../../kit/deferred.js'
import { dataOf, Guests } from '../../kit/guests.js'
import { LogLines } from '../../kit/log-lines.js'
import { accountFor, broadcastNumbers, readUpTo, resyncOf } from '../../kit/numbered.js'
import { serve } from '../../kit/server.js'

const resuming: [how: string, missed: number][] = [
  ['a new client', 0],
  ['a client that resumes', 3]
]
for (const [how, missed] of resuming) {
  t.test(`${how} gets the snapshot that onConnect loads, then whatever was broadcast since, once`, async (t) => {
    const loading = gate()
    const onConnect = async (client: SseClient) => {
      client.send('early')
      await loading.pass()
      client.send('snapshot')
    }
    const { app, connect } = await serve(t, { sse: { onConnect } })
    const cursor = (await app.sse.publish('before')) as string
    broadcastNumbers(app, 1, 3)
    const client = await connect(missed > 0 ? { lastEventId: cursor } : {})
    await loading.reached
    broadcastNumbers(app, 4, 6)
    t.equal((await client.next()).data, '"early"', 'what is sent before need not wait')
    broadcastNumbers(app, 7, 9)
    loading.open()
    t.equal((await client.next()).data, '"snapshot"')
    await readUpTo(client, 9)
    broadcastNumbers(app, 10, 10)
    await readUpTo(client, 10)
    t.strictSame(accountFor(client.events.slice(2), 3 - missed), { last: 10, missed: 0, resyncs: [] })
  })
}

t.test('a client gets its resync first, then its snapshot', async (t) => {
  const onConnect = (client: SseClient) => void client.send('snapshot')
  const { app, connect } = await serve(t, { sse: { onConnect } })
  const client = await connect({ lastEventId: 'unknown' })
  app.sse.broadcast('live')
  const events = await client.take(3)
  t.match(resyncOf(events[0]!), { reason: 'unknown' })
  t.match(events.slice(1), [{ data: '"snapshot"' }, { data: '"live"' }])
})

t.test('events that are evicted while onConnect runs are reported, to the last one', async (t) => {
  const loading = gate()
  const onConnect = async (client: SseClient) => {
    await loading.pass()
    client.send('snapshot')
  }
  const { app, connect } = await serve(t, { sse: { history: { events: 5 }, queueDepth: 5, onConnect } })
  const client = await connect()
  await loading.reached
  broadcastNumbers(app, 1, 20)
  loading.open()
  await readUpTo(client, 20)
  const told = client.events.filter((event) => event.data !== '"snapshot"')
  t.strictSame(accountFor(told), { last: 20, missed: 15, resyncs: [{ reason: 'overflow', missed: 15 }] })
})

const failures: [how: string, onConnect: (client: SseClient) => void | Promise<void>][] = [
  [
    'throws',
    () => {
      throw new Error('no snapshot')
    }
  ],
  ['rejects', () => Promise.reject(new Error('no snapshot'))],
  [
    'rejects after it has sent something',
    async (client) => {
      client.send('half a snapshot')
      await null
      throw new Error('no snapshot')
    }
  ]
]
for (const [how, fail] of failures) {
  t.test(
    `an onConnect that ${how} ends that stream with a reconnection time, is logged, and affects nobody else`,
    async (t) => {
      const log = new LogLines()
      const guests = new Guests()
      const onConnect: PylonSseOptions['onConnect'] = (client, request) =>
        request.headers['x-fail'] ? fail(client) : undefined
      const { app, connect } = await serve(t, {
        fastify: { logger: { level: 'warn', stream: log } },
        sse: { retry: 1000, onConnect, onDisconnect: guests.hooks.onDisconnect }
      })
      const other = await connect()
      const client = await connect({ headers: { 'x-fail': '1' } })
      await client.waitForEnd()
      t.equal(client.status, 200)
      const [, jittered = Number.NaN] = client.retries
      t.ok(jittered >= 1000 && jittered <= 2000, `${jittered} ms`)
      t.equal(client.events.length, how.includes('sent') ? 1 : 0)
      await guests.waitForLeaving()
      t.match(guests.left, [{ reason: 'error' }])
      const line = await log.waitFor('SSE: onConnect failed, and the client is disconnected')
      t.match(line, { err: { message: 'no snapshot' }, sseClient: { id: guests.left[0]!.client.id } })

      app.sse.broadcast('still here')
      t.strictSame(await dataOf(other, 1), ['"still here"'])
      t.match(app.sse.stats(), { connected: 1, disconnects: { error: 1 } })
      t.equal(log.lines.length, 1)
    }
  )
}

t.test('onConnect can close the client, with or without a last event', async (t) => {
  const onConnect = (client: SseClient, { headers }: { headers: Record<string, unknown> }) => {
    if (headers['x-word']) client.send('no entry')
    client.close()
    t.equal(client.send('too late'), false)
  }
  const { app, connect } = await serve(t, { sse: { onConnect } })
  for (const headers of [{}, { 'x-word': '1' }]) {
    const client = await connect({ headers })
    await client.waitForEnd()
    t.strictSame(
      client.events.map((event) => event.data),
      headers['x-word'] ? ['"no entry"'] : []
    )
    t.equal(client.comments[0], 'connected')
  }
  t.equal(app.sse.clientCount, 0)
})

t.test(
  'a client that leaves while onConnect runs is told to onDisconnect once, and its sends go nowhere',
  async (t) => {
    const loading = gate()
    const guests = new Guests()
    const through = deferred<boolean>()
    const log = new LogLines()
    const onConnect = async (client: SseClient) => {
      await loading.pass()
      through.resolve(client.send('snapshot'))
    }
    const { app, connect } = await serve(t, {
      fastify: { logger: { level: 'warn', stream: log } },
      sse: { onConnect, onDisconnect: guests.hooks.onDisconnect }
    })
    const client = await connect()
    await loading.reached
    t.equal(app.sse.clientCount, 1)
    await client.abort()
    await guests.waitForLeaving()
    t.equal(app.sse.clientCount, 0)
    loading.open()
    t.equal(await through.promise, false)
    const next = await connect()
    app.sse.broadcast('live')
    t.strictSame(await dataOf(next, 2), ['"snapshot"', '"live"'])
    await next.abort()
    await guests.waitForLeaving(2)
    t.match(guests.left, [{ reason: 'disconnected' }, { reason: 'disconnected' }])
    t.strictSame(log.lines, [])
  }
)
