import t from 'tap'
import type { SseClient } from '../../../lib/index.js'
import { stopClock } from '../../kit/clock.js'
import { Connections } from '../../kit/connections.js'
import { gate } from '../../kit/deferred.js'
import { type Served, serve } from '../../kit/server.js'
import { KERNEL_HOLDS, stuckClient } from '../../kit/slow-reader.js'
import { writesByTurn } from '../../kit/turns.js'

// Long enough for the work to be spread over many turns.
const INTERVAL = 640
const HALF = INTERVAL / 2

t.test('a client gets a comment whenever nothing was sent to it for the interval', async (t) => {
  const clock = stopClock(t)
  const { connect } = await serve(t, { sse: { keepAliveInterval: INTERVAL } })
  const early = await connect()
  clock.advance(HALF)
  const late = await connect()
  for (let times = 1; times <= 3; times++) {
    clock.advance(HALF)
    await early.waitForComment('keepalive', times)
    t.equal(late.comments.length, times, 'the one that came later is not due yet')
    clock.advance(HALF)
    await late.waitForComment('keepalive', times)
    t.equal(early.comments.length, times + 1)
  }
})

/** Those whose `onConnect` is under way. */
const isHeld = new WeakSet<SseClient>()

const events: Record<string, (s: Served) => void> = {
  'an event': ({ app }) => app.sse.broadcast('event'),
  'an event of its own': ({ app }) => {
    for (const client of app.sse.clients) if (!isHeld.has(client)) client.send('event')
  }
}

for (const [what, send] of Object.entries(events)) {
  t.test(`a client that got ${what} meanwhile gets no comment, while others do`, async (t) => {
    const clock = stopClock(t)
    const held = gate()
    const s = await serve(t, {
      // One shard, which looks after those that are live first. Those held get no broadcasts.
      sse: {
        shards: 1,
        keepAliveInterval: INTERVAL,
        onConnect: (client, { url }) => {
          if (!url.includes('held')) return
          isHeld.add(client)
          return held.pass()
        }
      }
    })
    // Clients are looked after one after the other, so once those that are held have theirs, it has had its turn.
    const before = await s.connect({ query: { held: '' } })
    const busy = await s.connect()
    clock.advance(100)
    const behind = await s.connect({ query: { held: '' } })
    clock.advance(HALF)
    send(s)
    await busy.next()
    clock.advance(INTERVAL - HALF - 100)
    await before.waitForComment('keepalive')
    clock.advance(100)
    await behind.waitForComment('keepalive')
    t.strictSame(busy.comments, ['connected'])
    clock.advance(HALF)
    await busy.waitForComment('keepalive')
  })
}

t.test('a client whose connection is full gets no comment', async (t) => {
  const clock = stopClock(t)
  let connections!: Connections
  const s = await serve(t, {
    transport: 'unix',
    sse: { keepAliveInterval: INTERVAL, stallTimeout: 0 },
    setup: (app) => {
      connections = new Connections(app)
    }
  })
  await stuckClient(s)
  const [full] = connections.sockets
  const reader = await s.connect()
  s.app.sse.broadcastMessage('x'.repeat(KERNEL_HOLDS.unix))
  await reader.next()
  const written = full!.bytesWritten
  for (let times = 1; times <= 3; times++) {
    clock.advance(INTERVAL)
    await reader.waitForComment('keepalive', times)
  }
  t.equal(full!.bytesWritten, written)
})

t.test('an interval of 0 turns keepalives off', async (t) => {
  const clock = stopClock(t)
  let connections!: Connections
  const s = await serve(t, {
    transport: 'unix',
    sse: { keepAliveInterval: 0, stallTimeout: INTERVAL },
    setup: (app) => {
      connections = new Connections(app)
    }
  })
  await stuckClient(s)
  const quiet = await s.connect()
  s.app.sse.broadcastMessage('x'.repeat(KERNEL_HOLDS.unix))
  await quiet.next()
  // Clients are looked after all the same, which ends the one that is stuck.
  const passing = setInterval(() => clock.advance(40_000), 10)
  t.teardown(() => clearInterval(passing))
  await connections.waitForNumber(1)
  t.strictSame(quiet.comments, ['connected', 'text'])
})

t.test('a client that is about to be sent an event gets no comment as well', async (t) => {
  const clock = stopClock(t)
  let connections!: Connections
  const s = await serve(t, {
    sse: { keepAliveInterval: INTERVAL },
    setup: (app) => {
      connections = new Connections(app)
    }
  })
  const client = await s.connect()
  const [socket] = connections.sockets
  // Asked for when the client has its turn, before the event is flushed.
  Object.defineProperty(socket, 'writableLength', {
    configurable: true,
    get() {
      delete (this as { writableLength?: number }).writableLength
      s.app.sse.broadcast('event')
      return socket!.writableLength
    }
  })
  clock.advance(INTERVAL)
  await client.next()
  clock.advance(INTERVAL)
  await client.waitForComment('keepalive')
  t.strictSame(client.comments, ['connected', 'keepalive'])
})

t.test('the comments to clients that are due at the same time are spread over many turns', async (t) => {
  const CLIENTS = 320
  const clock = stopClock(t)
  let connections!: Connections
  const s = await serve(t, {
    sse: { keepAliveInterval: 2 * INTERVAL, maxClientsPerIp: false },
    setup: (app) => {
      connections = new Connections(app)
    }
  })
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => s.connect()))
  for (let times = 1; times <= 2; times++) {
    const writes = writesByTurn(connections.sockets, 'keepalive')
    clock.advance(2 * INTERVAL)
    await Promise.all(clients.map((client) => client.waitForComment('keepalive', times)))
    t.equal(
      writes.reduce((sum, count) => sum + count, 0),
      CLIENTS,
      'one each'
    )
    // Turns run into one another on a machine that is busy: this leaves room for some.
    t.ok(Math.max(...writes) <= CLIENTS / 4, `never more than a few at once: ${writes}`)
    // From now on they are due at the same time because they were written to at the same time.
    s.app.sse.broadcast('everyone')
    await Promise.all(clients.map((client) => client.next()))
  }
})

t.test("with keepAlive: 'event' every keepalive is an event, which a page can watch for", async (t) => {
  const clock = stopClock(t)
  const { app, connect } = await serve(t, {
    sse: { keepAliveInterval: INTERVAL, keepAlive: 'event', authorizeTopics: () => true }
  })
  const client = await connect({ query: { topic: 'quiet' } })
  const id = await client.waitForId()
  clock.advance(INTERVAL)
  await client.waitForComment('keepalive')
  t.strictSame(client.signals.slice(1), [{ id: undefined, event: 'keepalive', data: '{}' }])
  t.equal(client.lastEventId, id, 'which keeps the last event id where the log has not moved')
  app.sse.broadcast('elsewhere', { topic: 'other' })
  clock.advance(INTERVAL)
  await client.waitForComment('keepalive', 2)
  t.match(client.signals[2], { id: client.lastEventId, event: 'keepalive' })
  t.not(client.lastEventId, id)
})
