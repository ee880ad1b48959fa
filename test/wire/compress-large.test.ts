import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { Connections } from '../kit/connections.js'
import { Deflates } from '../kit/deflates.js'
import { accountFor, broadcastNumbers, readUpTo, resyncOf } from '../kit/numbered.js'
import { withTimeout } from '../kit/patience.js'
import { type Served, type ServeOptions, serve } from '../kit/server.js'
import { KERNEL_HOLDS, stuckClient } from '../kit/slow-reader.js'
import type { SseClient } from '../kit/sse-client.js'

const GZIP = { headers: { 'accept-encoding': 'gzip' } }
/** More than is compressed on the event loop. */
const LARGE = 20 * 1024

async function serveCompressed(t: Test, sse: PylonSseOptions = {}, options: ServeOptions = {}) {
  const deflates = new Deflates(t)
  const s = await serve(t, { ...options, sse: { compress: true, ...sse } })
  return { s, deflates }
}

/** Broadcasts the event numbered 1, too large for the event loop, and holds back what comes of it. */
async function holdLarge(s: Served, deflates: Deflates): Promise<void> {
  const held = deflates.hold()
  broadcastNumbers(s.app, 1, 1, LARGE)
  await withTimeout(held, 'something to compress')
}

/** Text of so many bytes that does not repeat itself. */
function noise(size: number): string {
  return Array.from({ length: size }, () => String.fromCharCode(33 + 94 * Math.random())).join('')
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn()
}

t.test('large chunks are compressed off the event loop, and those that follow wait', async (t) => {
  const { s, deflates } = await serveCompressed(t)
  const client = await s.connect(GZIP)
  const plain = await s.connect()
  await client.waitForComment('connected')
  await holdLarge(s, deflates)
  broadcastNumbers(s.app, 2, 3)
  await readUpTo(plain, 3)
  t.strictSame(client.events, [], 'clients without gzip do not wait')
  deflates.release()
  await readUpTo(client, 3)
  t.strictSame(accountFor(client.events), { last: 3, missed: 0, resyncs: [] })
  t.equal(deflates.later.length, 1)
})

t.test('large chunks wait for one another, and small ones wait for all of them', async (t) => {
  for (const transport of ['http', 'unix', 'h2c'] as const) {
    const { s, deflates } = await serveCompressed(t, {}, { transport })
    const client = await (transport === 'h2c' ? s.connectH2(GZIP) : s.connect(GZIP))
    await client.waitForComment('connected')
    // A slab of its own each, so that each is a chunk.
    const large = [noise(100_000), noise(100_000)]
    for (const text of large) s.app.sse.broadcastMessage(text)
    s.app.sse.broadcastMessage('small')
    const events = await client.take(3)
    t.ok(events[0]!.data === large[0] && events[1]!.data === large[1] && events[2]!.data === 'small', transport)
    t.equal(deflates.later.length, 2)
    const closed = s.app.close()
    await client.waitForEnd()
    await withTimeout(closed, 'app.close()')
  }
})

t.test('a hundred clients share a chunk that is compressed once', async (t) => {
  const { s, deflates } = await serveCompressed(t, { maxClientsPerIp: false, authorizeTopics: () => true })
  const connections = new Connections(s.app)
  const path = '/events?topic=a'
  const clients = await Promise.all(Array.from({ length: 100 }, () => s.connect({ ...GZIP, path })))
  await Promise.all(clients.map((client) => client.waitForComment('connected')))
  const written = new Map<string, Set<unknown>>()
  let topic = ''
  for (const socket of connections.sockets) {
    const { write } = socket
    socket.write = (...args: unknown[]) => {
      written.set(topic, (written.get(topic) ?? new Set()).add(args[0]))
      return Reflect.apply(write, socket, args)
    }
  }
  for (const size of [200, LARGE]) {
    for (const each of [undefined, 'a']) {
      topic = `${size} bytes to ${each ?? 'all'}`
      const before = deflates.sync.length + deflates.later.length
      s.app.sse.broadcastMessage('x'.repeat(size), { topic: each })
      await Promise.all(clients.map((client) => client.next()))
      t.equal(deflates.sync.length + deflates.later.length, before + 1, topic)
      t.equal(written.get(topic)?.size, 1, `${topic}: one Buffer`)
    }
  }
})

t.test('of hundreds that wait for it, some get it in each turn of the event loop', async (t) => {
  const { s, deflates } = await serveCompressed(t, { maxClientsPerIp: false })
  const connections = new Connections(s.app)
  const clients: SseClient[] = []
  for (let i = 0; i < 6; i++) {
    clients.push(...(await Promise.all(Array.from({ length: 100 }, () => s.connect(GZIP)))))
  }
  await Promise.all(clients.map((client) => client.waitForComment('connected')))
  await holdLarge(s, deflates)
  await turns(40)
  let writes = 0
  for (const socket of connections.sockets) {
    const { write } = socket
    socket.write = (...args: unknown[]) => {
      writes++
      return Reflect.apply(write, socket, args)
    }
  }
  deflates.release()
  t.equal(writes, 256)
  broadcastNumbers(s.app, 2, 2)
  await Promise.all(clients.map((client) => readUpTo(client, 2)))
  for (const client of clients) accountFor(client.events)
  t.equal(deflates.later.length, 1)
})

t.test('a client that is closed while it waits gets all that was broadcast and sent before', async (t) => {
  const { s, deflates } = await serveCompressed(t)
  const client = await s.connect(GZIP)
  await client.waitForComment('connected')
  await holdLarge(s, deflates)
  broadcastNumbers(s.app, 2, 2)
  broadcastNumbers(s.app, 3, 3, 3 * LARGE)
  const [only] = s.app.sse.clients
  only!.send('sent')
  only!.close({ reconnect: false })
  await client.waitForEnd()
  t.strictSame(accountFor(client.events.slice(0, 3)), { last: 3, missed: 0, resyncs: [] })
  t.match(client.events.slice(3), [{ data: '"sent"' }, { event: 'stay-away' }])
  t.equal(client.events.length, 5)
  deflates.release()
  // Foreign bytes before its answer would make it fail.
  const next = client.request({ method: 'HEAD' })
  await next.waitForEnd()
  t.equal(next.status, 200, 'what comes late of it is in no other answer')
})

t.test('an app that closes does not wait for compression', async (t) => {
  const { s, deflates } = await serveCompressed(t)
  const clients = [await s.connect(GZIP), await s.connect(GZIP)]
  for (const client of clients) await client.waitForComment('connected')
  await holdLarge(s, deflates)
  await turns(3)
  broadcastNumbers(s.app, 2, 2)
  const closed = s.app.close()
  for (const client of clients) {
    await client.waitForEnd()
    t.strictSame(accountFor(client.events), { last: 2, missed: 0, resyncs: [] })
    t.equal(client.retries.length, 1, 'the farewell')
  }
  await withTimeout(closed, 'app.close()')
  deflates.release()
})

t.test('a client that leaves while it waits for compression leaves nothing behind', async (t) => {
  const { s, deflates } = await serveCompressed(t)
  const connections = new Connections(s.app)
  const leaving = await s.connect(GZIP)
  const staying = await s.connect(GZIP)
  await staying.waitForComment('connected')
  await holdLarge(s, deflates)
  await leaving.close()
  await connections.waitForNumber(1)
  t.equal(s.app.sse.clientCount, 1)
  deflates.release()
  broadcastNumbers(s.app, 2, 2)
  await readUpTo(staying, 2)
  t.strictSame(accountFor(staying.events), { last: 2, missed: 0, resyncs: [] })
  t.match(s.app.sse.stats(), { connected: 1, dropped: 0, disconnects: { disconnected: 1 } })
})

t.test(
  'a client is not too slow for what is being compressed for it, however many events come meanwhile',
  async (t) => {
    const { s, deflates } = await serveCompressed(t, { queueDepth: 5 })
    const client = await s.connect(GZIP)
    await client.waitForComment('connected')
    await holdLarge(s, deflates)
    broadcastNumbers(s.app, 2, 50)
    await turns(3)
    broadcastNumbers(s.app, 51, 100)
    await turns(3)
    t.equal(s.app.sse.stats().dropped, 0)
    deflates.release()
    await readUpTo(client, 100)
    t.strictSame(accountFor(client.events), { last: 100, missed: 0, resyncs: [] })
  }
)

t.test('events that are about to be evicted are sent uncompressed to clients that wait for them', async (t) => {
  const { s, deflates } = await serveCompressed(t, { queueDepth: 5, history: { events: 20 } })
  const client = await s.connect(GZIP)
  await client.waitForComment('connected')
  await holdLarge(s, deflates)
  // In turns of their own, and in one.
  for (let n = 2; n <= 30; n++) {
    broadcastNumbers(s.app, n, n)
    await turns(2)
  }
  broadcastNumbers(s.app, 31, 100, LARGE)
  await turns(3)
  deflates.release()
  broadcastNumbers(s.app, 101, 101)
  await readUpTo(client, 101)
  t.strictSame(accountFor(client.events), { last: 101, missed: 0, resyncs: [] })
  t.equal(s.app.sse.stats().dropped, 0)
})

t.test('a client that reads too slowly is told what it has missed, and goes on', async (t) => {
  const { s } = await serveCompressed(t, { queueDepth: 10, stallTimeout: 0 }, { transport: 'unix' })
  const reader = await s.connect(GZIP)
  const slow = await stuckClient(s, GZIP)
  const size = 64 * 1024
  const count = (2 * KERNEL_HOLDS.unix) / size + 30
  for (let n = 1; n <= count; n++) {
    s.app.sse.broadcastMessage(`${n} ${noise(size)}`)
    await readUpTo(reader, n)
  }
  slow.resume()
  await readUpTo(slow, count)
  broadcastNumbers(s.app, count + 1, count + 1)
  await readUpTo(slow, count + 1)
  const { last, missed, resyncs } = accountFor(slow.events)
  t.equal(last, count + 1)
  t.equal(resyncs.length, 1)
  t.ok(missed > 0)
  t.equal(s.app.sse.stats().dropped, missed)
  t.strictSame(reader.events.filter(resyncOf), [])
  await slow.close()
})
