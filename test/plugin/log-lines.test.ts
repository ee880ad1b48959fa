import t from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { stopClock } from '../kit/clock.js'
import { LogLines } from '../kit/log-lines.js'
import { serve } from '../kit/server.js'
import { blockedClient, ON_UNIX_SOCKET } from '../kit/slow-reader.js'

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
