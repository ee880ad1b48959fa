import { spawn } from 'node:child_process'
import { type EventEmitter, once } from 'node:events'
import type { ServerHttp2Session } from 'node:http2'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import t, { type Test } from 'tap'
import pylonSse from '../../lib/index.js'
import { Connections } from '../kit/connections.js'
import { deferred } from '../kit/deferred.js'
import { LibTimers } from '../kit/lib-timers.js'
import { withTimeout } from '../kit/patience.js'
import { RUN_SOURCES } from '../kit/run-sources.js'
import { type ServeOptions, serve } from '../kit/server.js'
import { KERNEL_HOLDS } from '../kit/slow-reader.js'

// Above the time that a busy machine may take for the processes below.
t.setTimeout(180_000)

t.test('nothing runs before the app is ready, and nothing after it has closed', async (t) => {
  const timers = new LibTimers(t)
  const app = fastify()
  await app.register(pylonSse)
  app.sse.broadcast('event')
  t.equal(timers.count, 0)
  await app.ready()
  t.equal(timers.pending.length, 1)
  t.notOk(timers.pending[0]!.hasRef(), 'what runs keeps no process alive')
  t.equal(app.sse.ready, true, 'clients may come')
  await app.close()
  t.equal(app.sse.ready, false)
  t.strictSame(timers.pending, [])
})

t.test('nothing runs where there is nothing to look after', async (t) => {
  const timers = new LibTimers(t)
  const app = fastify()
  await app.register(pylonSse, { keepAliveInterval: 0, stallTimeout: 0 })
  await app.ready()
  t.equal(timers.count, 0)
  await app.close()
})

t.test('an app that closes before it is ready, or while it gets ready, leaves nothing running', async (t) => {
  const timers = new LibTimers(t)
  const early = fastify()
  early.register(pylonSse)
  await early.close()
  t.strictSame(timers.pending, [])

  const amid = fastify()
  amid.register(pylonSse)
  await Promise.all([amid.ready(), amid.close()])
  t.strictSame(timers.pending, [])
})

t.test('events that are broadcast before the app is ready are kept for clients to come', async (t) => {
  const ids: string[] = []
  const s = await serve(t, {
    sse: false,
    setup: async (app) => {
      await app.register(pylonSse)
      for (const n of [1, 2, 3]) ids.push(await app.sse.publish(n))
    }
  })
  const resuming = await s.connect({ lastEventId: ids[0]! })
  t.match(await resuming.take(2), [
    { id: ids[1], data: '2' },
    { id: ids[2], data: '3' }
  ])
  const arriving = await s.connect()
  t.equal(await arriving.waitForId(), ids[2], 'the place of one that has just come')
})

t.test('no app keeps its process alive', async (t) => {
  const program = fileURLToPath(new URL('../kit/lifecycle-process.js', import.meta.url))
  const live = async (life: string) => {
    const child = spawn(process.execPath, [...RUN_SOURCES, program, life, String(KERNEL_HOLDS.tcp)], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    t.teardown(() => child.kill())
    let said = ''
    child.stdout.on('data', (text) => {
      said += text
    })
    const [code] = await withTimeout(once(child, 'close'), `the end of the one that ${life}`, 120_000, () => said)
    t.equal(code, 0, life)
    t.equal(said, 'lived\n', life)
  }
  await Promise.all(['is ready and never listens', 'has had clients and closes'].map(live))
})

/** How many listen to what. */
function listeners(...emitters: EventEmitter[]) {
  return emitters.map((emitter) =>
    Object.fromEntries(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)]))
  )
}

function without(all: string[], some: string[]): string[] {
  const left = [...some]
  return all.filter((one) => {
    const index = left.indexOf(one)
    if (index !== -1) left.splice(index, 1)
    return index === -1
  })
}

/** What must be as before when clients have come and gone. */
async function serveWatched(t: Test, options: ServeOptions = {}) {
  const warnings: Error[] = []
  const warn = (warning: Error) => void warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  const timers = new LibTimers(t)
  let connections!: Connections
  const s = await serve(t, {
    ...options,
    setup: (app) => {
      connections = new Connections(app)
    }
  })
  const resources = process.getActiveResourcesInfo()
  const serverListeners = listeners(s.app.server)
  return {
    ...s,
    connections,
    timers,
    async nothingIsLeft() {
      await connections.waitForNumber(0)
      // What the last to go have set off, warnings too, comes to its end within some turns.
      for (let turns = 0; turns < 1000 && timers.pending.length > 1; turns++) await turn()
      await turn()
      t.strictSame(listeners(s.app.server), serverListeners)
      t.strictSame(warnings, [])
      t.equal(timers.pending.length, 1, 'the one timer that looks after clients')
      t.strictSame(without(process.getActiveResourcesInfo(), resources), [], 'no more handles than before')
      t.equal(s.app.sse.clientCount, 0)
    },
    endAll() {
      for (const client of s.app.sse.clients) client.close()
    }
  }
}

t.test('nothing is left of 200 streams on one connection after the other', async (t) => {
  const s = await serveWatched(t)
  const client = await s.connect()
  const [socket] = s.connections.sockets
  s.endAll()
  await client.waitForEnd()
  const before = listeners(socket!)
  for (let i = 0; i < 200; i++) {
    const stream = client.request({})
    await stream.waitForComment('connected')
    s.app.sse.broadcast(i)
    await stream.next()
    s.endAll()
    await stream.waitForEnd()
  }
  await turn()
  t.strictSame(listeners(socket!), before)
  await client.close()
  await s.nothingIsLeft()
})

t.test('nothing is left of 200 connections', async (t) => {
  const s = await serveWatched(t)
  for (let i = 0; i < 200; i++) {
    const client = await s.connect()
    s.app.sse.broadcast(i)
    await client.next()
    await (i % 2 ? client.close() : client.abort())
  }
  await s.nothingIsLeft()
})

t.test('nothing is left of streams that never came to their turn on a connection', async (t) => {
  const arrived = deferred()
  let requests = 0
  const onRequest = async () => {
    requests++
    if (requests === 41) arrived.resolve()
  }
  const s = await serveWatched(t, { sse: { route: { onRequest } } })
  const client = await s.connect()
  const waiting = Array.from({ length: 40 }, () => client.request({}))
  await arrived.promise
  await client.close()
  t.ok(waiting.every((stream) => stream.isClosed))
  await s.nothingIsLeft()
})

t.test('nothing is left of 200 streams over one connection of HTTP/2', async (t) => {
  const s = await serveWatched(t, { transport: 'h2c' })
  const sessions: ServerHttp2Session[] = []
  s.app.server.on('session', (session) => sessions.push(session))
  const first = await s.connectH2()
  const before = listeners(sessions[0]!)
  for (let i = 0; i < 10; i++) {
    const clients = await Promise.all(Array.from({ length: 20 }, () => s.connectH2({ over: first })))
    s.app.sse.broadcast(i)
    await Promise.all(clients.map((client) => client.next()))
    await Promise.all(clients.map((client) => client.close()))
  }
  await turn()
  t.strictSame(listeners(sessions[0]!), before)
  await first.close()
  s.app.server.removeAllListeners('session')
  await s.connections.waitForNumber(0)
  t.equal(sessions.length, 1)
})
