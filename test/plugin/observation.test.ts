import type { FastifyRequest } from 'fastify'
import t from 'tap'
import type { DisconnectReason, PylonSseOptions, SseClient } from '../../lib/index.js'
import { type Clock, stopClock } from '../kit/clock.js'
import { deferred } from '../kit/deferred.js'
import { LogLines } from '../kit/log-lines.js'
import { type Served, type ServeOptions, serve } from '../kit/server.js'
import { KERNEL_HOLDS, stuckClient } from '../kit/slow-reader.js'

const BULK = 'x'.repeat(KERNEL_HOLDS.unix)
/** For clients that get stuck: it takes little there. One shard, so that all have been served by the time one has. */
const ON_UNIX_SOCKET: ServeOptions & { sse: PylonSseOptions } = { transport: 'unix', sse: { shards: 1 } }

/** Comes, reads nothing, and is stuck; `reader`, which came before, reads what it takes. */
async function blockedClient(s: Served, reader: { next(): Promise<unknown> }) {
  const stuck = await stuckClient(s)
  s.app.sse.broadcastMessage(BULK)
  await reader.next()
  return stuck
}

t.test('clientCount and clients tell which clients are connected', async (t) => {
  const s = await serve(t)
  const { clients } = s.app.sse
  const idsOf = (some: Iterable<SseClient>) => Array.from(some, ({ id }) => id)
  t.equal(s.app.sse.clientCount, 0)
  t.strictSame(idsOf(clients), [])

  const streams = [await s.connect(), await s.connect(), await s.connect()]
  t.equal(s.app.sse.clientCount, 3)
  const ids = idsOf(s.app.sse.clients)
  t.equal(new Set(ids).size, 3)
  t.strictSame(idsOf(clients), ids, 'also where it was asked for before, and has been gone through before')

  for (const client of clients) if (client.id === ids[1]) client.close()
  await streams[1]!.waitForEnd()
  t.equal(s.app.sse.clientCount, 2)
  t.strictSame(idsOf(clients), [ids[0], ids[2]])

  for (const client of clients) client.close()
  t.equal(s.app.sse.clientCount, 0, 'all of them, although each takes itself out on the way')
  t.strictSame(idsOf(clients), [])
})

t.test('stats() counts clients that were accepted, and requests that were rejected, by reason', async (t) => {
  const s = await serve(t, { sse: { maxClientsPerIp: 2, overLimit: 'status' } })
  const none = { notAcceptable: 0, tooManyClients: 0, closing: 0 }
  t.match(s.app.sse.stats(), { connected: 0, accepted: 0, rejected: none })
  const [first] = [await s.connect(), await s.connect()]
  for (let i = 0; i < 3; i++) t.equal((await s.connect()).status, 429)
  for (let i = 0; i < 2; i++) t.equal((await s.connect({ headers: { accept: 'text/html' } })).status, 406)
  await s.connect({ method: 'HEAD' })
  t.match(s.app.sse.stats(), { connected: 2, accepted: 2, rejected: { ...none, tooManyClients: 3, notAcceptable: 2 } })
  for (const client of s.app.sse.clients) client.close()
  await first.waitForEnd()
  await s.connect()
  t.match(s.app.sse.stats(), { connected: 1, accepted: 3 })
})

t.test('stats() counts events, their deliveries, and the bytes of the streams', async (t) => {
  const s = await serve(t, { sse: { retry: 100, history: { events: 2 }, queueDepth: 1 } })
  const clients = [await s.connect(), await s.connect()]
  s.app.sse.broadcast({ a: 'ü' })
  s.app.sse.broadcastMessage('two\nlines', { event: 'name' })
  await s.app.sse.publish(1, { id: 'own' })
  await Promise.all(clients.map((client) => client.take(3)))
  t.match(s.app.sse.stats(), { events: 3, deliveries: 6 })

  clients.push(await s.connect({ lastEventId: 'own' }), await s.connect({ lastEventId: 'unknown' }))
  await clients[3]!.next()
  for (const client of s.app.sse.clients) client.send('to one')
  s.app.sse.broadcast('the last')
  for (const client of clients) await client.until(({ data }) => data === '"the last"')
  t.equal(s.app.sse.stats().events, 4, 'what goes to one client alone is not broadcast')
  t.throws(() => s.app.sse.broadcast(undefined))
  t.equal(s.app.sse.stats().events, 4, 'nor is what was refused')

  await s.app.close()
  await Promise.all(clients.map((client) => client.waitForEnd()))
  const bytes = clients.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0)
  t.equal(s.app.sse.stats().bytes, bytes)
})

t.test('stats() counts resyncs by their reason, and the events that were dropped', async (t) => {
  const s = await serve(t, { ...ON_UNIX_SOCKET, sse: { shards: 1, history: { events: 2 }, queueDepth: 2 } })
  const reader = await s.connect()
  const none = { overflow: 0, expired: 0, unknown: 0, backplane: 0 }
  t.match(s.app.sse.stats(), { resyncs: none, dropped: 0 })
  const first = await s.app.sse.publish(1)
  for (const n of [2, 3, 4]) s.app.sse.broadcast(n)
  await reader.take(4)
  for (const lastEventId of [first, 'unknown', 'unknown']) await (await s.connect({ lastEventId })).next()
  t.match(s.app.sse.stats(), { resyncs: { ...none, expired: 1, unknown: 2 }, dropped: 0 })

  const stuck = await blockedClient(s, reader)
  for (let n = 5; n <= 11; n++) s.app.sse.broadcast(n)
  await reader.take(7)
  t.match(s.app.sse.stats(), { resyncs: { ...none, expired: 1, unknown: 2 }, dropped: 5 }, 'it cannot be told yet')
  stuck.resume()
  await stuck.until(({ data }) => data === '11')
  t.match(s.app.sse.stats(), { resyncs: { overflow: 1, expired: 1, unknown: 2, backplane: 0 }, dropped: 5 })
})

t.test('stats() says by how many events the slowest client is behind', async (t) => {
  const s = await serve(t, ON_UNIX_SOCKET)
  const reader = await s.connect()
  t.equal(s.app.sse.stats().slowestLag, 0)
  const stuck = await blockedClient(s, reader)
  for (let n = 1; n <= 5; n++) s.app.sse.broadcast(n)
  await reader.take(5)
  const late = await blockedClient(s, reader)
  s.app.sse.broadcast('the last')
  await reader.next()
  t.equal(s.app.sse.stats().slowestLag, 7)
  stuck.resume()
  await stuck.until(({ data }) => data === '"the last"')
  t.equal(s.app.sse.stats().slowestLag, 1)
  await late.close()
  s.app.sse.broadcast('seen by the rest')
  await reader.next()
  t.equal(s.app.sse.stats().slowestLag, 0)
})

t.test('stats() returns plain figures, which later events do not change', async (t) => {
  const s = await serve(t)
  const before = s.app.sse.stats()
  const copy = structuredClone(before)
  t.strictSame(JSON.parse(JSON.stringify(before)), copy)
  const client = await s.connect()
  s.app.sse.broadcast('event')
  await client.next()
  await s.app.close()
  t.strictSame(before, copy)
  before.disconnects.shutdown = 7
  t.equal(s.app.sse.stats().disconnects.shutdown, 1)
})

interface Departure extends ServeOptions {
  sse?: PylonSseOptions
  /** Makes the second client go; the first one reads. */
  act(s: Served, reader: { next(): Promise<unknown> }, clock: Clock): unknown
}

const departures: Record<DisconnectReason, Departure> = {
  disconnected: {
    async act(s) {
      const client = await s.connect()
      await client.close()
    }
  },
  completed: {
    setup: (app) => {
      app.get('/events/until', (request, reply) => app.sse.stream(request, reply, { until: 'last' }))
    },
    async act(s, reader) {
      const client = await s.connect({ path: '/events/until' })
      s.app.sse.broadcast('all', { event: 'last' })
      await client.waitForEnd()
      await reader.next()
    }
  },
  closed: {
    async act(s) {
      const client = await s.connect()
      const [, newest] = s.app.sse.clients
      newest!.close()
      newest!.close()
      await client.waitForEnd()
    }
  },
  shutdown: {
    async act(s) {
      await s.connect()
      await s.app.close()
    }
  },
  overflow: {
    ...ON_UNIX_SOCKET,
    sse: { shards: 1, overflow: 'disconnect', queueDepth: 2 },
    async act(s, reader) {
      await blockedClient(s, reader)
      for (let n = 1; n <= 3; n++) s.app.sse.broadcast(n)
    }
  },
  stalled: {
    ...ON_UNIX_SOCKET,
    sse: { shards: 1, stallTimeout: 1000, keepAliveInterval: 0 },
    async act(s, reader, clock) {
      await blockedClient(s, reader)
      const passing = setInterval(() => clock.advance(500), 20)
      s.app.server.once('close', () => clearInterval(passing))
    }
  },
  expired: {
    async act(s) {
      const client = await s.connect()
      const [, newest] = s.app.sse.clients
      newest!.expiresAt = new Date()
      await client.waitForEnd()
    }
  },
  aged: {
    sse: { maxConnectionAge: 100_000 },
    async act(s, _reader, clock) {
      // It is to be the older one.
      clock.advance(-90_000)
      const client = await s.connect()
      clock.advance(101_000)
      await client.waitForEnd()
    }
  },
  error: {
    sse: {
      onConnect: (_client, { url }) => {
        if (url.includes('fail')) throw new Error('no')
      }
    },
    act: (s) => s.connect({ query: { fail: '' } })
  }
}

for (const [reason, { act, sse, ...options }] of Object.entries(departures)) {
  t.test(`a client that disconnects by '${reason}' is passed to onDisconnect, counted and logged once`, async (t) => {
    const clock = stopClock(t)
    const log = new LogLines()
    const come: [SseClient, FastifyRequest][] = []
    const gone: [SseClient, DisconnectReason][] = []
    const departed = deferred()
    const s = await serve(t, {
      ...options,
      fastify: { logger: { level: 'debug', stream: log } },
      sse: {
        ...sse,
        onConnect(client, request) {
          client.state.number = come.push([client, request])
          return sse?.onConnect?.(client, request)
        },
        onDisconnect(client, reason) {
          gone.push([client, reason])
          if (client.state.number !== 2) return
          t.equal(s.app.sse.clientCount, reason === 'shutdown' ? 0 : 1, 'it is no client any more')
          t.equal(client.send('goodbye'), false)
          departed.resolve()
        }
      }
    })
    const reader = await s.connect()
    await act(s, reader, clock)
    await departed.promise
    // All that might come of it has come when the app has closed.
    await s.app.close()

    t.equal(come.length, 2)
    t.match(come[1]![1].url, /^\/events/)
    t.strictSame(
      gone.map(([{ state }, why]) => [state.number, why]).sort(),
      [
        [1, 'shutdown'],
        [2, reason]
      ],
      'with the state that onConnect gave it'
    )
    const all = Object.fromEntries(Object.keys(departures).map((name) => [name, 0]))
    t.strictSame(s.app.sse.stats().disconnects, { ...all, shutdown: 1, [reason]: reason === 'shutdown' ? 2 : 1 })
    const { id, ip } = come[1]![0]
    t.match(
      log.matching((line) => (line.sseClient as { id: string } | undefined)?.id === id && line.level < 40),
      [
        { level: 20, msg: 'SSE: client connected', sseClient: { ip } },
        { level: 20, msg: 'SSE: client disconnected', sseClient: { ip }, reason }
      ]
    )
    t.equal(
      log.matching((line) => (line.sseClient as { id: string } | undefined)?.id === id && line.level < 40).length,
      2
    )
  })
}

t.test('at the default level connects and disconnects are not logged', async (t) => {
  const log = new LogLines()
  const s = await serve(t, { fastify: { logger: { level: 'info', stream: log } } })
  const [client] = [await s.connect(), await s.connect()]
  s.app.sse.broadcast('event')
  await client.next()
  await client.close()
  await s.app.close()
  t.strictSame(log.matching(/SSE/), [])
})

t.test('drops are logged as a warning, at most every ten seconds, to the last one', async (t) => {
  const clock = stopClock(t)
  const log = new LogLines()
  const s = await serve(t, {
    ...ON_UNIX_SOCKET,
    sse: { shards: 1, queueDepth: 1, keepAliveInterval: 100 },
    fastify: { logger: { level: 'warn', stream: log } }
  })
  const reader = await s.connect()
  await blockedClient(s, reader)
  const drop = async (events: number) => {
    for (let n = 0; n < events; n++) {
      s.app.sse.broadcast(n)
      await reader.next()
    }
  }
  // The first event it can hold.
  await drop(1 + 3)
  await log.waitFor(({ level }) => level === 40)
  await drop(20)
  clock.advance(9_999)
  await reader.waitForComment('keepalive')
  await drop(20)
  t.equal(log.lines.length, 1)
  clock.advance(1)
  await log.waitFor((line) => line !== log.lines[0])
  t.match(log.lines, [
    { level: 40, msg: /missed events/, dropped: 1 },
    { level: 40, msg: /missed events/, dropped: 42 }
  ])
  clock.advance(20_000)
  await reader.waitForComment('keepalive', 2)
  t.equal(log.lines.length, 2, 'and nothing is repeated')
  t.equal(s.app.sse.stats().dropped, 43)
})

t.test('an onDisconnect that fails is logged, and harms nobody', async (t) => {
  const failures: Record<string, PylonSseOptions['onDisconnect']> = {
    throws: () => {
      throw new Error('of the app')
    },
    rejects: async () => {
      throw new Error('of the app')
    }
  }
  for (const [how, onDisconnect] of Object.entries(failures)) {
    const log = new LogLines()
    const s = await serve(t, {
      sse: { onDisconnect: onDisconnect! },
      fastify: { logger: { level: 'error', stream: log } }
    })
    const [leaver, reader] = [await s.connect(), await s.connect()]
    await leaver.close()
    const { sseClient, err } = await log.waitFor(({ level }) => level === 50)
    t.match(err, { message: 'of the app', stack: String }, how)
    t.type((sseClient as { id: string }).id, 'string')
    s.app.sse.broadcast('event')
    t.equal((await reader.next()).data, '"event"')
    await s.app.close()
    await reader.waitForEnd()
    t.equal(log.lines.length, 2)
  }
})

t.test('onConnect may broadcast: the others get it, and the client gets it after its own snapshot', async (t) => {
  const s = await serve(t, {
    sse: {
      async onConnect(client) {
        s.app.sse.broadcast({ come: s.app.sse.clientCount })
        await null
        s.app.sse.broadcast('later')
        client.send('snapshot')
      }
    }
  })
  const first = await s.connect()
  await first.take(3)
  const second = await s.connect()
  const dataOf = async (client: typeof first, count: number) => (await client.take(count)).map(({ data }) => data)
  t.strictSame(await dataOf(second, 3), ['"snapshot"', '{"come":2}', '"later"'])
  t.strictSame(await dataOf(first, 2), ['{"come":2}', '"later"'])
})

t.test('onDisconnect may broadcast, even if a broadcast has disconnected the clients', async (t) => {
  const s = await serve(t, {
    transport: 'unix',
    sse: {
      shards: 2,
      overflow: 'disconnect',
      queueDepth: 1,
      onDisconnect: (client) => s.app.sse.broadcast({ gone: client.state.number }),
      onConnect: (client) => {
        client.state.number = s.app.sse.clientCount
      }
    }
  })
  const readers = [await s.connect(), await s.connect()]
  for (let i = 0; i < 4; i++) await stuckClient(s)
  readers.push(await s.connect(), await s.connect())
  s.app.sse.broadcastMessage(BULK)
  await Promise.all(readers.map((reader) => reader.next()))
  for (let n = 1; n <= 3; n++) s.app.sse.broadcast(n)
  s.app.sse.broadcast('last of the four')
  const [all, ...others] = await Promise.all(readers.map((reader) => reader.take(4 + 4)))
  t.strictSame(
    all!.map(({ data }) => data).sort(),
    ['1', '2', '3', '"last of the four"', ...[3, 4, 5, 6].map((gone) => JSON.stringify({ gone }))].sort()
  )
  for (const events of others) t.strictSame(events, all, 'the same for everyone, in the same order')
})

t.test('a serialize may broadcast, send and close, also from within a send', async (t) => {
  const s = await serve(t, {
    sse: {
      serialize: (data) => {
        if (data === 'outer') s.app.sse.broadcastMessage('broadcast from within')
        if (data === 'outer') for (const client of s.app.sse.clients) client.send('sent from within')
        if (data === 'fatal') for (const client of s.app.sse.clients) client.close()
        return String(data)
      }
    }
  })
  const client = await s.connect()
  const [served] = s.app.sse.clients
  t.equal(served!.send('outer'), true)
  s.app.sse.broadcast('outer')
  const events = await client.take(6)
  const expected = ['broadcast from within', 'sent from within', 'outer']
  t.strictSame(
    events.map(({ data }) => data),
    [...expected, ...expected]
  )
  t.equal(served!.send('fatal'), false)
  await client.waitForEnd()
  t.equal(client.events.length, 6)
})
