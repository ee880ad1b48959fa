import type { FastifyRequest } from 'fastify'
import t from 'tap'
import type { DisconnectReason, PylonSseOptions, SseClient } from '../../lib/index.js'
import { type Clock, stopClock } from '../kit/clock.js'
import { deferred } from '../kit/deferred.js'
import { LogLines } from '../kit/log-lines.js'
import { type Served, type ServeOptions, serve } from '../kit/server.js'
import { blockedClient, ON_UNIX_SOCKET } from '../kit/slow-reader.js'

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
