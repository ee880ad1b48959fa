import type { Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { Client } from '../../lib/hub/clients/client.js'
import type { PylonSseOptions } from '../../lib/index.js'
import { Audiences } from '../../lib/log/audience.js'
import { stopClock } from '../kit/clock.js'
import { gate } from '../kit/deferred.js'
import type { EventReader } from '../kit/event-reader.js'
import { LogLines } from '../kit/log-lines.js'
import { type Served, type ServeOptions, serve } from '../kit/server.js'
import { Arrivals, asksFor } from '../kit/topics.js'

interface Open extends Served {
  arrivals: Arrivals
}

/** A server on which every topic may be asked for. */
async function serveAll(t: Test, sse: PylonSseOptions = {}, options: Omit<ServeOptions, 'sse'> = {}): Promise<Open> {
  const arrivals = new Arrivals()
  const served = await serve(t, {
    ...options,
    sse: { authorizeTopics: () => true, maxClientsPerIp: false, onConnect: arrivals.onConnect, ...sse }
  })
  return { ...served, arrivals }
}

const END = 'end'

/** What a client has been given when all that was broadcast before now has come. */
async function heard({ app }: Served, ...readers: EventReader[]): Promise<string[][]> {
  app.sse.broadcastMessage(END)
  for (const reader of readers) await reader.until(({ data }) => data === END)
  return readers.map(({ events }) => events.map(({ data }) => data).filter((data) => data !== END))
}

/** Broadcasts an event to each of these topics; its data is the topic's name. */
function tellEach({ app }: Served, topics: (string | undefined)[]): void {
  for (const topic of topics) app.sse.broadcastMessage(topic ?? 'everyone', { topic })
}

t.test('an event with a topic reaches its subscribers alone, and one without reaches everyone', async (t) => {
  const served = await serveAll(t)
  const clients = await Promise.all([
    served.connect(),
    served.connect(asksFor('a')),
    served.connect(asksFor('b')),
    served.connect(asksFor('a', 'b')),
    served.connect(asksFor('b', 'a', 'b'))
  ])
  tellEach(served, ['a', undefined, 'b', 'c', 'A', 'a'])
  t.strictSame(await heard(served, ...clients), [
    ['everyone'],
    ['a', 'everyone', 'a'],
    ['everyone', 'b'],
    ['a', 'everyone', 'b', 'a'],
    ['a', 'everyone', 'b', 'a']
  ])
})

t.test('publish and broadcast take a topic too, which a comment tells, and no field of the event', async (t) => {
  const served = await serveAll(t)
  const [a, b] = [await served.connect(asksFor('a')), await served.connect(asksFor('b'))]
  const before = a.body.length
  served.app.sse.broadcast(1, { topic: 'a' })
  const id = await served.app.sse.publish(2, { topic: 'a', event: 'two' })
  t.strictSame(await heard(served, a, b), [['1', '2'], []])
  t.match(a.events[1], { id, event: 'two' })
  t.match(a.body.slice(before), /^(: topic a\n)id: \S+-1\ndata: 1\n\n\1id: \S+-2\nevent: two\ndata: 2\n\n/)
})

t.test('the app subscribes a client to a topic at any time, from the next event on', async (t) => {
  const served = await serveAll(t)
  const reader = await served.connect()
  const client = served.arrivals.last
  tellEach(served, ['a'])
  client.subscribe('a')
  t.strictSame(client.topics, ['a'])
  served.app.sse.broadcastMessage('first', { topic: 'a' })
  client.subscribe('a')
  client.subscribe('b.*')
  t.strictSame(client.topics, ['a', 'b.*'])
  tellEach(served, ['a', 'b.x', 'b'])
  t.strictSame(await heard(served, reader), [['first', 'a', 'b.x']])
})

t.test('once unsubscribed a client hears nothing more of a topic, not even what is not written yet', async (t) => {
  const served = await serveAll(t)
  const [reader, other] = [await served.connect(asksFor('a', 'b')), await served.connect(asksFor('a', 'b'))]
  const client = served.arrivals.all.find(({ closed }) => !closed)!
  tellEach(served, ['b', 'a'])
  client.unsubscribe('a')
  client.unsubscribe('never')
  t.strictSame(client.topics, ['b'])
  tellEach(served, ['a', 'b'])
  t.strictSame(await heard(served, reader, other), [
    ['b', 'b'],
    ['b', 'a', 'a', 'b']
  ])
})

t.test('a topic that a pattern covers still reaches a client that is unsubscribed from the topic alone', async (t) => {
  const served = await serveAll(t)
  const reader = await served.connect(asksFor('a.x', 'a.*'))
  served.arrivals.last.unsubscribe('a.x')
  tellEach(served, ['a.x'])
  t.strictSame(await heard(served, reader), [['a.x']])
})

t.test('what is subscribed in onConnect counts from the arrival on, also while it waits', async (t) => {
  const held = gate()
  const served = await serveAll(t, {
    onConnect: async (client) => {
      client.subscribe('early')
      client.send('snapshot')
      await held.pass()
      client.subscribe('late')
      client.unsubscribe('asked')
    }
  })
  const reader = await served.connect(asksFor('asked', 'kept'))
  await held.reached
  tellEach(served, ['early', 'late', 'asked', 'kept', undefined])
  held.open()
  await reader.until(({ data }) => data === 'everyone')
  tellEach(served, ['early', 'late', 'asked', 'kept'])
  t.strictSame(await heard(served, reader), [
    ['"snapshot"', 'early', 'late', 'kept', 'everyone', 'early', 'late', 'kept']
  ])
})

t.test('a replay holds what a client is subscribed to, and nothing else', async (t) => {
  const served = await serveAll(t)
  const first = await served.connect(asksFor('a'))
  const lastEventId = await first.waitForId()
  await first.close()
  tellEach(served, ['a', 'b', undefined, 'a.x', 'a', 'b'])
  const clients = await Promise.all([
    served.connect({ lastEventId }),
    served.connect({ ...asksFor('a'), lastEventId }),
    served.connect({ ...asksFor('b'), lastEventId }),
    served.connect({ ...asksFor('a.**'), lastEventId }),
    served.connect({ ...asksFor('c'), lastEventId })
  ])
  t.strictSame(await heard(served, ...clients), [
    ['everyone'],
    ['a', 'everyone', 'a'],
    ['b', 'everyone', 'b'],
    ['a', 'everyone', 'a.x', 'a'],
    ['everyone']
  ])
})

t.test('a client that the app subscribes in onConnect misses nothing of the topic while it reconnects', async (t) => {
  const served = await serveAll(t, { onConnect: (client) => client.subscribe('room') })
  const first = await served.connect()
  tellEach(served, ['room'])
  const { id } = await first.next()
  await first.close()
  tellEach(served, ['room', 'other', 'room'])
  const again = await served.connect({ lastEventId: id! })
  t.strictSame(await heard(served, again), [['room', 'room']])
})

t.test('a client that the app unsubscribes in onConnect is replayed nothing of the topic', async (t) => {
  const served = await serveAll(t, { onConnect: (client) => client.unsubscribe('room') })
  const first = await served.connect(asksFor('room'))
  const lastEventId = await first.waitForId()
  await first.close()
  tellEach(served, ['room', undefined])
  const again = await served.connect({ ...asksFor('room'), lastEventId })
  t.strictSame(await heard(served, again), [['everyone']])
})

const TOPICS = ['orders', 'orders.new', 'orders.new.eu', 'ordersX', 'stock.new', 'Orders.new', 'constructor', 'ö 😀.x']
const patterns: [pattern: string, hears: string[]][] = [
  ['orders', ['orders']],
  ['orders.*', ['orders.new']],
  ['orders.**', ['orders', 'orders.new', 'orders.new.eu']],
  ['*', ['orders', 'ordersX', 'constructor']],
  ['*.new', ['orders.new', 'stock.new', 'Orders.new']],
  ['*.*.eu', ['orders.new.eu']],
  ['*.new.**', ['orders.new', 'orders.new.eu', 'stock.new', 'Orders.new']],
  ['**', TOPICS],
  ['ö 😀.*', ['ö 😀.x']],
  ['constructor', ['constructor']],
  ['__proto__.*', []],
  ['orders.new.**', ['orders.new', 'orders.new.eu']]
]

t.test('* stands for one word of a topic, and ** at the end for any more, when asked for or subscribed', async (t) => {
  const served = await serveAll(t)
  const [asked, subscribed] = [[] as EventReader[], [] as EventReader[]]
  for (const [pattern] of patterns) {
    asked.push(await served.connect(asksFor(pattern)))
    subscribed.push(await served.connect())
    served.arrivals.last.subscribe(pattern)
  }
  tellEach(served, TOPICS)
  const byAsking = await heard(served, ...asked)
  const bySubscribing = await heard(served, ...subscribed)
  for (const [i, [pattern, hears]] of patterns.entries()) {
    t.strictSame(byAsking[i], hears, `?topic=${pattern}`)
    t.strictSame(bySubscribing[i], hears, `subscribe('${pattern}')`)
  }
})

t.test('an event reaches a client once, however many of its patterns match', async (t) => {
  const served = await serveAll(t)
  const reader = await served.connect(asksFor('a.b', 'a.*', '*.b', 'a.**', '**'))
  tellEach(served, ['a.b', undefined])
  t.strictSame(await heard(served, reader), [['a.b', 'everyone']])
})

const refused: [what: string, topics: string[], reason: RegExp][] = [
  ['more topics than allowed', ['a', 'b', 'c', 'd'], /cannot subscribe to 4 topics; a subscription takes 3 at most/],
  [
    'a name of too many bytes',
    ['ééééé'],
    /cannot subscribe to a topic of 10 bytes; a subscription takes 8 bytes at most/
  ],
  ['no name at all', [''], /cannot subscribe to ""; a subscription takes a name/],
  ['an empty name among others', ['a', ''], /cannot subscribe to ""/],
  ['a line break', ['a\nb'], /cannot subscribe to "a\\nb"; a subscription takes a name without control characters/],
  ['a NUL', ['\0'], /cannot subscribe to "\\u0000"/],
  ['a wildcard within a word', ['a*'], /cannot subscribe to "a\*"/],
  ['** before the end', ['**.a'], /cannot subscribe to "\*\*.a"; a subscription takes .* '\*\*', at the end/],
  ['***', ['***'], /cannot subscribe to "\*\*\*"/]
]
const limits = { maxTopics: 3, maxTopicBytes: 8 }

for (const [what, topics, reason] of refused) {
  t.test(`a client that asks for ${what} is told so by a 400, and one is subscribed to none`, async (t) => {
    const served = await serveAll(t, limits)
    const reader = await served.connect(asksFor(...topics))
    await reader.waitForEnd()
    t.equal(reader.status, 400)
    const { code, message } = JSON.parse(reader.body)
    t.equal(code, 'PYLON_SSE_ERR_INVALID_TOPIC')
    t.match(message, reason)
    t.match(served.app.sse.stats(), { connected: 0, rejected: { invalidTopic: 1 } })

    const fine = await served.connect()
    const client = served.arrivals.last
    for (const topic of topics.slice(0, -1)) if (topic !== '') client.subscribe(topic)
    const before = client.topics
    const last = topics.at(-1)!
    t.throws(() => client.subscribe(last), { code: 'PYLON_SSE_ERR_INVALID_TOPIC', message: reason })
    t.strictSame(client.topics, before)
    t.strictSame(await heard(served, fine), [[]], 'and goes on')
  })
}

t.test('up to its limits a client may hear any topic, and a topic asked for twice counts once', async (t) => {
  const served = await serveAll(t, limits)
  const reader = await served.connect(asksFor('a', 'b', 'a', '12345678', 'b'))
  t.equal(reader.status, 200)
  t.strictSame(served.arrivals.last.topics, ['a', 'b', '12345678'])
  served.arrivals.last.unsubscribe('b')
  served.arrivals.last.subscribe('éééé')
  tellEach(served, ['12345678', 'éééé', 'b'])
  t.strictSame(await heard(served, reader), [['12345678', 'éééé']])
})

for (const topic of ['a.*', '**', 'a*', '', 'a\nb', '123456789']) {
  t.test(`an event cannot have the topic ${JSON.stringify(topic)}`, async (t) => {
    const served = await serveAll(t, limits)
    const reader = await served.connect(asksFor('a', '**'))
    t.throws(() => served.app.sse.broadcast(1, { topic }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
    await t.rejects(served.app.sse.publish(1, { topic }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
    t.strictSame(await heard(served, reader), [[]])
  })
}

/** The buffers that are written to these sockets from now on. */
function buffersTo(sockets: Iterable<Socket>): Map<Socket, Buffer[]> {
  const buffers = new Map<Socket, Buffer[]>()
  for (const socket of sockets) {
    const own: Buffer[] = []
    buffers.set(socket, own)
    const { write } = socket
    socket.write = (...args: unknown[]) => {
      if (Buffer.isBuffer(args[0])) own.push(args[0])
      return Reflect.apply(write, socket, args)
    }
  }
  return buffers
}

t.test('clients with equal subscriptions share bytes, live and replayed', async (t) => {
  const sockets: Socket[] = []
  const served = await serveAll(
    t,
    { shards: 3 },
    { setup: (app) => void app.server.on('connection', (socket) => sockets.push(socket)) }
  )
  const readers: EventReader[] = []
  for (let i = 0; i < 6; i++) {
    // In the same order or another, asked for or subscribed: it is the set that counts.
    readers.push(await served.connect(i % 2 === 0 ? asksFor('a', 'b.*') : asksFor('b.*', 'a')))
  }
  readers.push(await served.connect())
  for (const topic of ['b.*', 'a']) served.arrivals.last.subscribe(topic)
  const live = buffersTo(sockets)
  for (let round = 0; round < 3; round++) {
    tellEach(served, ['a', 'b.x', undefined, 'c'])
    await heard(served, ...readers)
  }
  const [first, ...others] = [...live.values()]
  t.equal(first!.length, 3, 'one write a flush')
  for (const other of others) t.ok(other.length === 3 && other.every((buffer, i) => buffer === first![i]))

  const { lastEventId } = readers[0]!
  tellEach(served, ['a', 'c', 'b.x'])
  await heard(served, ...readers)
  sockets.length = 0
  served.app.server.once('connection', (socket) => buffersTo([socket]))
  const replays: Map<Socket, Buffer[]>[] = []
  served.app.server.on('connection', (socket) => replays.push(buffersTo([socket])))
  for (let i = 0; i < 3; i++) {
    const again = await served.connect({ ...asksFor('a', 'b.*'), lastEventId })
    await again.until(({ data }) => data === END)
  }
  const replayed = replays.map((one) => [...one.values()][0]!.find((buffer) => buffer.includes('data: b.x')))
  t.ok(replayed[0])
  t.ok(replayed.every((buffer) => buffer === replayed[0]))
})

t.test('an event to a topic is offered to its subscribers, and no other client is looked at', async (t) => {
  const served = await serveAll(t, {}, { transport: 'unix' })
  const readers: EventReader[] = []
  for (let i = 0; i < 60; i++) readers.push(await served.connect(asksFor(`topic.${i % 20}`)))
  readers.push(await served.connect(asksFor('topic.*')))
  readers.push(await served.connect())
  await heard(served, ...readers)
  const visits = (['take', 'advance'] as const).map((name) => t.capture(Client.prototype, name, Client.prototype[name]))
  served.app.sse.broadcastMessage('seven', { topic: 'topic.7' })
  for (const i of [7, 27, 47, 60]) t.equal((await readers[i]!.next()).data, 'seven')
  served.app.sse.broadcastMessage('nobody', { topic: 'none' })
  served.app.sse.broadcastMessage('eight', { topic: 'topic.8' })
  for (const i of [8, 28, 48, 60]) t.equal((await readers[i]!.next()).data, 'eight')
  t.equal(visits.flatMap((visit) => visit()).length, 4 + 4)
})

/** The audiences of the server whose first client comes next: what topics leave behind. */
function nextAudiences(t: Test): () => Audiences {
  const { hold } = Audiences.prototype
  let audiences: Audiences | undefined
  const restore = () => {
    Audiences.prototype.hold = hold
  }
  Audiences.prototype.hold = function (subscriptions) {
    audiences = this
    restore()
    return this.hold(subscriptions)
  }
  t.teardown(restore)
  return () => audiences!
}

/** Bytes of heap in use, once all is collected that can be. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

t.test('100,000 topics that came and went leave no memory behind', async (t) => {
  const audiences = nextAudiences(t)
  const served = await serveAll(t, { history: { events: 100 } }, { transport: 'unix' })
  const reader = await served.connect()
  const client = served.arrivals.last
  const come = async (from: number, to: number) => {
    for (let n = from; n < to; n += 50) {
      for (let i = n; i < n + 50; i++) {
        const topic = i % 3 === 0 ? `room.${i}.*` : `room.${i}`
        client.subscribe(topic)
        served.app.sse.broadcastMessage(`${i}`, { topic: topic.replace('*', 'x') })
        client.unsubscribe(topic)
      }
      served.app.sse.broadcastMessage(`to ${n}`)
      await reader.until(({ data }) => data === `to ${n}`)
    }
  }
  t.equal(audiences().size, 0)
  await come(0, 10_000)
  const before = heapUsed()
  await come(10_000, 110_000)
  const grown = heapUsed() - before
  t.equal(audiences().size, 0)
  t.ok(grown < 4 * 2 ** 20, `the heap has grown by ${grown} bytes`)
})

t.test('a client that has gone leaves none of its topics behind', async (t) => {
  const audiences = nextAudiences(t)
  const gone = [gate(), gate(), gate()]
  let n = 0
  const served = await serveAll(t, { onDisconnect: () => void gone[n++]!.pass() })
  const [plain, pattern] = [await served.connect(asksFor('a', 'b')), await served.connect(asksFor('a.*', '**'))]
  const later = await served.connect()
  served.arrivals.last.subscribe('later')
  tellEach(served, ['later'])
  t.equal(audiences().size, 3)
  await Promise.all([plain.close(), pattern.abort(), later.close()])
  await Promise.all(gone.map(({ reached }) => reached))
  t.equal(audiences().size, 0)
  t.strictSame([...audiences().of('a'), ...audiences().of('a.x'), ...audiences().of('later')], [])
})

t.test(
  'where a topic is quiet and the log is not, a keepalive carries the cursor, and the client resumes',
  async (t) => {
    const clock = stopClock(t)
    const served = await serveAll(t, { history: { events: 5 }, queueDepth: 5, keepAliveInterval: 640, shards: 1 })
    const quiet = await served.connect(asksFor('quiet'))
    const busy = await served.connect(asksFor('busy'))
    const arrived = await quiet.waitForId()
    for (let round = 1; round <= 3; round++) {
      for (let i = 0; i < 5; i++) tellEach(served, ['busy'])
      await busy.take(5)
      clock.advance(640)
      await quiet.waitForComment('keepalive', round)
    }
    t.equal(quiet.lastEventId, busy.events.at(-1)!.id, 'the cursor is that of the log')
    t.not(quiet.lastEventId, arrived)
    t.strictSame(quiet.events, [], 'which nobody is told as an event')
    const { lastEventId } = quiet
    await quiet.close()
    tellEach(served, ['busy', 'quiet'])
    const again = await served.connect({ ...asksFor('quiet'), lastEventId })
    t.strictSame(await heard(served, again), [['quiet']])
    t.match(served.app.sse.stats(), { resyncs: { expired: 0 } })

    for (let i = 0; i < 5; i++) tellEach(served, ['busy'])
    const late = await served.connect({ ...asksFor('quiet'), lastEventId: arrived })
    t.match(await late.next(), { event: 'resync' }, 'without it, the event that has gone since would be a gap')
  }
)

t.test('a keepalive says no id where the log has not moved, or where the client has it already', async (t) => {
  const clock = stopClock(t)
  const served = await serveAll(t, { keepAliveInterval: 640 })
  const reader = await served.connect(asksFor('a'))
  clock.advance(640)
  await reader.waitForComment('keepalive', 1)
  tellEach(served, ['a'])
  await reader.next()
  clock.advance(640)
  await reader.waitForComment('keepalive', 2)
  tellEach(served, ['b'])
  clock.advance(640)
  await reader.waitForComment('keepalive', 3)
  clock.advance(640)
  await reader.waitForComment('keepalive', 4)
  const epoch = reader.ids[0]!.split('-')[0]
  t.strictSame(reader.ids, [`${epoch}-0`, `${epoch}-1`, `${epoch}-2`])
})

t.test('a subscription on a client that has gone is no mistake, and does nothing', async (t) => {
  const logs = new LogLines()
  const gone = gate()
  const served = await serveAll(
    t,
    { onDisconnect: () => void gone.pass() },
    { fastify: { logger: { level: 'warn', stream: logs } } }
  )
  const reader = await served.connect(asksFor('a'))
  const client = served.arrivals.last
  await reader.close()
  await gone.reached
  client.subscribe('b')
  client.unsubscribe('a')
  tellEach(served, ['a', 'b'])
  t.strictSame(client.topics, ['a'])
  t.strictSame(await heard(served, await served.connect()), [[]])
  t.strictSame(logs.lines, [])
})
