import t from 'tap'
import type { DisconnectReason } from '../../lib/index.js'
import { deferred } from '../kit/deferred.js'
import { LogLines } from '../kit/log-lines.js'
import { serve } from '../kit/server.js'

t.test("No logger's fault reaches a client: serializers for any field may throw", async (t) => {
  const left = deferred<DisconnectReason>()
  const log = new LogLines()
  const thrower = () => {
    throw new Error('a serializer that expects something else')
  }
  const s = await serve(t, {
    fastify: {
      logger: {
        level: 'debug',
        stream: log,
        serializers: { client: ({ name }: { name: { first: string } }) => name.first, sseClient: thrower, err: thrower }
      },
      logController: undefined
    } as object,
    sse: {
      maxClientsPerIp: 1,
      onConnect: (_client, { headers }) => {
        if ('x-fail' in headers) throw new Error('no')
      },
      onDisconnect: (_client, reason) => {
        left.resolve(reason)
        throw new Error('no')
      }
    }
  })
  const reader = await s.connect()
  s.app.sse.broadcast(1)
  t.equal((await reader.next()).data, '1')
  await reader.close()
  t.equal(await left.promise, 'disconnected')
  const failed = await s.connect({ headers: { 'x-fail': '1' } })
  await failed.waitForEnd()
  await log.waitFor('SSE: onConnect failed, and the client is disconnected')
  await log.waitFor('SSE: onDisconnect failed')
  t.equal((await s.connect()).status, 200)
})

t.test("No logger's fault reaches a client: it may refuse every line", async (t) => {
  const refused: string[] = []
  const left = deferred<DisconnectReason>()
  const stream = {
    write(line: string) {
      if (!line.includes('SSE')) return
      refused.push(line)
      throw new Error('the disk is full')
    }
  }
  const s = await serve(t, {
    fastify: { logger: { level: 'debug', stream } },
    sse: { onDisconnect: (_client, reason) => left.resolve(reason) }
  })
  const reader = await s.connect()
  s.app.sse.broadcast(1)
  t.equal((await reader.next()).data, '1')
  await reader.close()
  t.equal(await left.promise, 'disconnected')
  const fields = [{ sseClient: {} }, {}, { sseClient: {}, reason: 'disconnected' }, {}].map(Object.keys)
  const isOwn = (name: string) => name === 'sseClient' || name === 'reason'
  const tried = refused.map((line) => Object.keys(JSON.parse(line)).filter(isOwn))
  t.strictSame(tried, fields, 'each line is tried with its fields, and without')
})

t.test("a serializer for 'client' of the app does not get clients of the plugin", async (t) => {
  const log = new LogLines()
  const seen: unknown[] = []
  const s = await serve(t, {
    fastify: {
      logger: { level: 'debug', stream: log, serializers: { client: (value: unknown) => seen.push(value) } }
    }
  })
  const reader = await s.connect()
  await reader.close()
  const line = await log.waitFor('SSE: client disconnected')
  t.match(line, { sseClient: { id: String, ip: '127.0.0.1' }, reason: 'disconnected' })
  t.strictSame(seen, [])
})
