import { setTimeout as sleep } from 'node:timers/promises'
import type { StreamConfig } from '@nats-io/jetstream'
import { connect, type Msg, type MsgCallback, type SubscriptionOptions } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { type JetStreamOptions, jetStream } from '../../../lib/backplane/nats/jetstream.js'
import { load, NatsLink } from '../../../lib/backplane/nats/link.js'
import { startProcess } from '../../kit/backplane-faults.js'
import { bodiesOf, join, PLENTY, parcels } from '../../kit/backplane-listener.js'
import { type NatsServer, startNats } from '../../kit/nats-server.js'
import { freePort } from '../../kit/redis-server.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

const UNAVAILABLE = 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE'
const REFUSED = 'PYLON_SSE_ERR_BACKPLANE_REFUSED'

/** A backplane over the server, closed before the server ends. */
function over(t: Test, server: NatsServer, options: Partial<JetStreamOptions> = {}) {
  const backplane = jetStream({ ...(options.connection ? {} : server.clientOptions), ...options } as JetStreamOptions)
  t.teardown(() => backplane.close())
  return backplane
}

async function connectTo(t: Test, server: NatsServer, options = {}) {
  const connection = await connect({ ...server.clientOptions, ...options })
  t.teardown(() => connection.close())
  return connection
}

async function infoOf(server: NatsServer, stream = 'PYLON_SSE') {
  const { manager } = await server.admin()
  return manager.streams.info(stream)
}

/** A stream that is there before the app. */
async function addStream(server: NatsServer, config: Partial<StreamConfig>) {
  const { manager } = await server.admin()
  const name = 'PYLON_SSE'
  return manager.streams.add({ name, subjects: ['pylon-sse.events'], max_msgs: 1000, ...config })
}

t.test('the stream is created with bounds, and an existing one is used as it is', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const options = { stream: 'OWN', subject: 'own.events', maxMessages: 500, maxBytes: 2 ** 20 }
  const joined = await join(over(t, server, options))
  t.strictSame(joined.history, [])
  const { config } = await infoOf(server, 'OWN')
  t.match(config, {
    subjects: ['own.events'],
    max_msgs: 500,
    max_bytes: 2 ** 20,
    discard: 'old',
    retention: 'limits',
    storage: 'file',
    num_replicas: 1
  })
  await join(over(t, server, { ...options, maxMessages: 900 }))
  t.equal((await infoOf(server, 'OWN')).config.max_msgs, 500, 'its bounds are for whoever created it to change')
})

t.test('a stream that was replaced unnoticed gives no cursor of the old one', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  await backplane.publish(parcels('a'))
  await listener.waitForEntries(1)
  const { manager, connection } = await server.admin()
  const { config } = await infoOf(server)
  await manager.streams.delete(config.name)
  await manager.streams.add(config)
  // As many as were read: the number of the next message is the one that the process expects.
  await connection.request('pylon-sse.events', 'x')
  const batch = parcels('b')
  await t.rejects(backplane.publish(batch), { code: UNAVAILABLE, message: /the stream has been replaced/ })
  const { history } = await listener.waitForGap()
  t.strictSame(bodiesOf(history).slice(0, 1), ['b'], 'it has got there all the same, as the caller finds')
  const [cursor] = await backplane.publish(batch)
  t.equal(cursor, history[0]!.cursor, 'published once more it is told where it is')
})

t.test('processes that start at once agree on one stream, whatever bounds they give', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const processes = [1, 2, 3, 4].map((n) => over(t, server, { maxMessages: n * 1000 }))
  const joined = await Promise.all(processes.map((backplane) => join(backplane)))
  await processes[0]!.publish(parcels('1'))
  for (const { listener } of joined) t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['1'])
})

t.test('events published together are one message, or several if one cannot hold them', async (t) => {
  const server = await startNats(t, { config: ['max_payload: 8192'] })
  if (server === undefined) return
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  await backplane.publish(parcels(...Array.from({ length: 40 }, (_, i) => `data: ${i}\n\n`)))
  t.equal((await infoOf(server)).state.messages, 1)
  const bodies = Array.from({ length: 12 }, (_, i) => `data: ${i} ${'x'.repeat(3000)}\n\n`)
  const cursors = await backplane.publish(parcels(...bodies))
  t.equal((await infoOf(server)).state.messages, 1 + 6)
  const entries = await listener.waitForEntries(52)
  t.strictSame(bodiesOf(entries).slice(40), bodies)
  t.strictSame(
    entries.slice(40).map(({ cursor }) => cursor),
    cursors
  )
  const late = await join(over(t, server), { ...PLENTY, events: 45 })
  t.strictSame(bodiesOf(late.history), bodiesOf(entries).slice(-45), 'history begins amid a message')
  t.equal(late.floor, entries.at(-46)!.cursor)
})

t.test('an event too large for a message is refused alone', async (t) => {
  const server = await startNats(t, { config: ['max_payload: 8192'] })
  if (server === undefined) return
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  const large = `data: ${'x'.repeat(9000)}\n\n`
  await t.rejects(backplane.publish(parcels('data: 1\n\n', large)), {
    code: REFUSED,
    message: /nats has refused an event: it has 9\d\d\d bytes, and a message may have 7680/
  })
  await backplane.publish(parcels('end'))
  t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['end'], 'nothing of the batch is there')

  const process = await startProcess(t, over(t, server))
  const client = await process.connect()
  const sent = [1, 'x'.repeat(9000), 3].map((data) => process.app.sse.publish(data))
  const [one, two, three] = await Promise.allSettled(sent)
  t.match(two, { status: 'rejected', reason: { code: REFUSED, statusCode: 503 } })
  await client.until(({ data }) => data === '3')
  t.strictSame(
    client.events.map(({ data }) => data),
    ['1', '3']
  )
  const ids = [one, three].map((result) => (result as PromiseFulfilledResult<string>).value)
  t.strictSame(
    client.events.map(({ id }) => id),
    ids
  )
})

t.test('the message size limit of a stream is respected', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  await addStream(server, { max_msg_size: 4096 })
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  await backplane.publish(parcels('x'.repeat(2000), 'y'.repeat(2000)))
  t.equal((await listener.waitForEntries(2)).length, 2)
  await t.rejects(backplane.publish(parcels('x'.repeat(4000))), { code: REFUSED })
})

t.test('an unsuitable stream is refused, and the error says what differs', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const { manager } = await server.admin()
  await manager.streams.add({ name: 'ORIGIN', subjects: ['origin'] })
  const cases: [Partial<StreamConfig>, RegExp][] = [
    [{ subjects: ['other', 'pylon-sse.*.x'] }, /its subjects are 'other', 'pylon-sse.\*.x', not 'pylon-sse.events'/],
    [{ discard: 'new' as never }, /its discard policy is 'new', not 'old'/],
    [{ retention: 'workqueue' as never }, /its retention is 'workqueue', not 'limits'/],
    [{ retention: 'interest' as never, discard: 'new' as never }, /its retention is 'interest'.*; its discard policy/],
    [{ max_msgs: -1 }, /it has no limits/],
    [{ no_ack: true }, /it does not acknowledge/],
    [{ subjects: [], mirror: { name: 'ORIGIN' } }, /it is a mirror/]
  ]
  for (const [config, wrong] of cases) {
    await addStream(server, config)
    const error: Error & { code?: string } = await join(over(t, server)).then(
      () => new Error('it has joined'),
      (error) => error
    )
    t.match(error, { code: UNAVAILABLE, message: wrong })
    t.match(
      error.message,
      `nats at nats://127.0.0.1:${server.port} cannot be used: its stream PYLON_SSE does not serve`
    )
    await manager.streams.delete('PYLON_SSE')
  }
  await manager.streams.add({ name: 'THIEF', subjects: ['pylon-sse.>'] })
  await t.rejects(join(over(t, server)), { code: UNAVAILABLE, message: /subjects overlap/ })
  const from = performance.now()
  while ((await server.connectionNames()).includes('pylon-sse') && performance.now() - from < 10_000) await sleep(20)
  t.strictSame(await server.connectionNames(), ['test'], 'whoever has not joined leaves no connection behind')
})

t.test('a stream with other bounds and subjects can be used, and foreign messages in it are ignored', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  await addStream(server, { subjects: ['x.y', 'pylon-sse.>'], max_msgs: -1, max_age: 3600e9 })
  const { connection } = await server.admin()
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  for (const text of ['1', '2']) {
    await backplane.publish(parcels(text))
    connection.publish('x.y', 'not ours')
    connection.publish('pylon-sse.events', 'nor is this')
    connection.publish('pylon-sse.events', 'pylon-sse 1 {]\n')
    connection.publish('pylon-sse.events')
    connection.publish('pylon-sse.other', 'not ours')
    await connection.flush()
  }
  await backplane.publish(parcels('3'))
  t.strictSame(bodiesOf(await listener.waitForEntries(3)), ['1', '2', '3'])
  t.equal(listener.gaps.length, 0)
  const late = await join(over(t, server))
  t.strictSame(bodiesOf(late.history), ['1', '2', '3'])
})

t.test('a long history of large and small messages is read within its bounds', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const backplane = over(t, server)
  await join(backplane)
  for (let i = 0; i < 30; i++) {
    await backplane.publish(parcels(...Array.from({ length: i === 5 ? 500 : 1 }, (_, j) => `${i}/${j}`)))
  }
  for (let i = 0; i < 20; i++) await backplane.publish(parcels('x'.repeat(200_000)))
  for (const [bounds, count] of [
    [{ events: 10_000, bytes: 2 ** 30 }, 549],
    [{ events: 40, bytes: 2 ** 30 }, 40],
    [{ events: 100, bytes: 2 ** 30 }, 100],
    [{ events: 10_000, bytes: 2_000_000 }, 10],
    [{ events: 10_000, bytes: 1 }, 1],
    [{ events: 1, bytes: 1 }, 1]
  ] as const) {
    const { history } = await join(over(t, server), bounds)
    t.equal(history.length, count, JSON.stringify(bounds))
  }
})

t.test('entries trimmed while a process is away are a gap; entries deleted in between are none', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  await addStream(server, { max_msgs: 5 })
  const { manager } = await server.admin()
  const wire = await TcpProxy.to(t, server.port)
  const away = over(t, server, { servers: `nats://127.0.0.1:${wire.port}` })
  const present = over(t, server)
  const { listener } = await join(away)
  await join(present)
  await present.publish(parcels('1'))
  await listener.waitForEntries(1)

  wire.cut()
  await listener.waitForState(false)
  for (const text of ['2', '3', '4', '5']) await present.publish(parcels(text))
  await manager.streams.deleteMessage('PYLON_SSE', 3)
  wire.mend()
  t.strictSame(bodiesOf(await listener.waitForEntries(4)), ['1', '2', '4', '5'])
  t.equal(listener.gaps.length, 0)
  await listener.waitForState(true)

  wire.cut()
  await listener.waitForState(false)
  for (const text of ['6', '7', '8', '9', '10', '11']) await present.publish(parcels(text))
  wire.mend()
  const { floor, history } = await listener.waitForGap()
  t.strictSame(bodiesOf(history), ['7', '8', '9', '10', '11'])
  t.ok(away.compare(floor, listener.entries.at(-1)!.cursor)! > 0)
  t.ok(away.compare(floor, history[0]!.cursor)! < 0)
  await present.publish(parcels('12'))
  t.equal((await listener.waitForEntries(5)).at(-1)!.message.body, '12')
})

t.test('entries trimmed before the server has sent them are a gap', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const { manager } = await server.admin()
  /** As when the second message had gone before its turn came: the server leaves it out. */
  const leaveOut = async (callback: MsgCallback<Msg>, error: Error | null, message: Msg) => {
    const [, seq] = /\.(\d+)\.\d+\.\d+\.\d+$/.exec(message.reply ?? '') ?? []
    if (seq === '2') return
    if (seq === '3') await manager.streams.purge('PYLON_SSE', { seq: 3 })
    const reply = message.reply?.replace(/\.3\.3\./, '.3.2.')
    void callback(error, Object.create(message, { reply: { value: reply } }))
  }
  const connection = new Proxy(await connectTo(t, server), {
    get(target, key) {
      if (key !== 'subscribe') return Reflect.get(target, key)
      return (subject: string, { callback }: SubscriptionOptions) =>
        target.subscribe(subject, { callback: (error, message) => void leaveOut(callback!, error, message) })
    }
  })
  const backplane = over(t, server, { connection })
  const { listener } = await join(backplane)
  for (const text of ['1', '2', '3']) await backplane.publish(parcels(text))
  const { history } = await listener.waitForGap()
  t.strictSame(bodiesOf(history), ['3'])
  t.strictSame(listener.bodies, ['1'])
  await backplane.publish(parcels('4'))
  t.strictSame(bodiesOf(await listener.waitForEntries(2)), ['1', '4'])
  t.equal(listener.gaps.length, 1)
})

t.test('a stream that is deleted and created again is another one, whatever its numbers', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const { manager } = await server.admin()
  const [one, other] = [over(t, server), over(t, server)]
  const { listener } = await join(one)
  await join(other)
  const [old] = await one.publish(parcels('1'))
  for (const text of ['2', '3', '4']) await one.publish(parcels(text))
  await listener.waitForEntries(4)
  await manager.streams.delete('PYLON_SSE')
  await addStream(server, {})
  await t.rejects(one.publish(parcels('5')), { code: UNAVAILABLE, message: /the stream has been replaced/ })
  const { history } = await listener.waitForGap()
  t.equal(bodiesOf(history)[0], '5', 'it had got there all the same')
  const [cursor] = await one.publish(parcels('6'))
  t.equal(one.compare(old!, cursor!), undefined)
  t.ok(one.compare(history[0]!.cursor, cursor!)! < 0)
})

t.test('if the stream does not take the report of a loss, the process continues without it', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const { manager } = await server.admin()
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  await backplane.publish(parcels('1'))
  await listener.waitForEntries(1)
  await manager.streams.delete('PYLON_SSE')
  await addStream(server, { max_msg_size: 530 })
  await t.rejects(backplane.publish(parcels('2')), { code: UNAVAILABLE })
  const { history } = await listener.waitForGap()
  t.strictSame(bodiesOf(history), ['2'])
  t.equal(listener.losses.length, 1)
})

t.test("the app's connection stays open, and no subscription of the plugin is left on it", async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const connection = await connectTo(t, server)
  const { protocol } = connection as unknown as {
    protocol: { listeners: unknown[]; subscriptions: { size(): number } }
  }
  const backplane = jetStream({ connection })
  const { listener } = await join(backplane)
  await backplane.publish(parcels('1'))
  await listener.waitForEntries(1)
  t.equal((await infoOf(server)).state.consumer_count, 1)
  await backplane.close()
  t.equal((await infoOf(server)).state.consumer_count, 0)
  t.notOk(connection.isClosed())
  await connection.flush()
  t.equal(protocol.listeners.length, 0)
  t.equal(protocol.subscriptions.size(), 1, 'that of all requests by this connection')

  const next = over(t, server, { connection })
  await join(next)
  const again = await join(next).catch((error: Error) => error)
  t.match(again, { code: UNAVAILABLE, message: /joined already/ })
  await connection.close()
  await t.rejects(next.publish(parcels('2')), { code: UNAVAILABLE, message: /the app's connection is closed/ })
  await t.rejects(join(over(t, server, { connection })), {
    code: UNAVAILABLE,
    message: /the app's connection is closed/
  })
})

t.test("a frozen server is noticed by the app's connection, too, and nothing hangs", async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const backplane = jetStream({ connection: await connectTo(t, server) })
  const { listener } = await join(backplane)
  await backplane.publish(parcels('1'))
  await listener.waitForEntries(1)
  server.freeze()
  t.teardown(() => server.thaw())
  await t.rejects(backplane.publish(parcels('2')), { code: UNAVAILABLE, message: /it has not answered in time/ })
  await listener.waitForState(false)
  const from = performance.now()
  await t.rejects(join(over(t, server)), { code: UNAVAILABLE })
  t.ok(performance.now() - from < 5000)
  server.thaw()
  await listener.waitForState(true)
  await backplane.publish(parcels('3'))
  await listener.waitForEntries(3)
  t.strictSame(listener.bodies, ['1', '2', '3'])
  server.freeze()
  const closing = performance.now()
  await backplane.close()
  t.ok(performance.now() - closing < 2000, 'close() does not wait for it')
})

t.test('the error says why the stream cannot be joined', async (t) => {
  const port = await freePort()
  await t.rejects(join(jetStream({ servers: `localhost:${port}` })), {
    code: UNAVAILABLE,
    message: `The backplane nats at localhost:${port} cannot be used: the connection was refused`
  })
  await t.rejects(join(jetStream({ servers: ['nowhere.invalid'] })), { code: UNAVAILABLE, message: /nowhere.invalid/ })

  const bare = await startNats(t, { jetstream: false })
  if (bare === undefined) return
  await t.rejects(join(over(t, bare)), { code: UNAVAILABLE, message: /it has no JetStream; nats-server needs -js/ })

  const small = await startNats(t, {
    config: ['jetstream { max_file_store: 1MB, store_dir: "$FOLDER/small" }'],
    jetstream: false
  })
  await t.rejects(join(over(t, small!)), { code: UNAVAILABLE, message: /its storage is full|insufficient storage/ })
  await join(over(t, small!, { maxBytes: 100_000 }))
})

t.test('passwords, tokens and permissions work', async (t) => {
  const secret = 'correct horse'
  const guarded = await startNats(t, {
    config: [
      `accounts { A { jetstream: enabled, users [`,
      `{ user: ann, password: "${secret}" }`,
      `{ user: bob, password: "${secret}", permissions { publish { deny: "pylon-sse.>" } } }`,
      `{ user: eve, password: "${secret}", permissions { publish { deny: "$JS.API.STREAM.>" } } }`,
      `{ user: sam, password: "${secret}", permissions { publish { deny: "$JS.API.CONSUMER.>" } } }`,
      '] } }'
    ],
    client: { user: 'ann', pass: secret }
  })
  if (guarded === undefined) return
  const ann = over(t, guarded)
  await join(ann)
  t.equal((await ann.publish(parcels('1'))).length, 1)
  for (const wrong of [{ pass: 'wrong horse' }, { user: undefined, pass: undefined }]) {
    const error = await join(over(t, guarded, wrong as object)).catch((error: Error) => error)
    t.match(error, { code: UNAVAILABLE, message: /the user name, the password or the token is wrong or missing/ })
    t.notMatch((error as Error).message, 'horse')
  }
  const bob = over(t, guarded, { user: 'bob' })
  await join(bob)
  await t.rejects(bob.publish(parcels('2')), { code: REFUSED, message: /not the right to publish pylon-sse.events/ })
  for (const user of ['eve', 'sam']) {
    const joining = join(over(t, guarded, { user }))
    await t.rejects(joining, { code: UNAVAILABLE, message: /its user has not the right to publish \$JS/ }, user)
  }

  const token = await startNats(t, { config: [`authorization { token: "${secret}" }`], client: { token: secret } })
  await join(over(t, token!))
  await t.rejects(join(over(t, token!, { token: 'wrong' })), {
    code: UNAVAILABLE,
    message: /the token is wrong or missing/
  })
})

t.test('without the packages the error says which to install', async (t) => {
  const missing = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
  const load1 = () => load('@nats-io/jetstream', () => Promise.reject(missing))
  const link = new NatsLink(undefined, {}, () => {}, { jetstream: load1, transport: load1 as never })
  await t.rejects(link.open(), {
    message: 'the package @nats-io/jetstream is missing; install it: npm i @nats-io/jetstream'
  })
  await t.rejects(
    load('x', () => Promise.reject(new SyntaxError('broken'))),
    { message: 'broken' }
  )
  await link.close()
})

t.test('a backplane that is closed while it joins does not join', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const connection = await connectTo(t, server)
  for (const options of [{}, { connection }]) {
    const backplane = over(t, server, options)
    const joining = join(backplane).catch((error: Error) => error)
    await backplane.close()
    t.match(await joining, { code: UNAVAILABLE, message: /it is closed/ })
    await t.rejects(join(backplane), { code: UNAVAILABLE, message: /it is closed/ })
    await t.rejects(backplane.publish(parcels('1')), { code: UNAVAILABLE, message: /it is closed/ })
  }
  t.notOk(connection.isClosed())
})

t.test('invalid options are refused at once', async (t) => {
  const servers = 'localhost'
  const connection = { status() {} } as never
  for (const [options, message] of [
    [{}, /'backplane' got neither connection nor servers/],
    [{ servers, connection }, /'backplane' got both connection and servers/],
    [{ connection: {} }, /backplane.connection/],
    [{ connection, user: 'x' }, /'backplane.user' goes with 'servers', not with a connection/],
    [{ servers: 'nats://ann:secret@localhost' }, /'backplane.servers' got something else/],
    [{ servers: 7 }, /backplane.servers/],
    [{ servers: ['a', ''] }, /backplane.servers/],
    [{ servers, stream: 'a.b' }, /backplane.stream/],
    [{ servers, stream: '' }, /backplane.stream/],
    [{ servers, subject: 'a.*' }, /backplane.subject/],
    [{ servers, subject: 'a..b' }, /backplane.subject/],
    [{ servers, maxMessages: 0 }, /backplane.maxMessages/],
    [{ servers, maxBytes: '1 MB' }, /backplane.maxBytes/],
    [{ servers, replicas: 1.5 }, /backplane.replicas/],
    [{ servers, publishTimeout: 0 }, /backplane.publishTimeout/],
    [{ servers, subjects: ['x'] }, /'backplane.subjects' does not exist; did you mean 'backplane.subject'\?/]
  ] as [JetStreamOptions, RegExp][]) {
    t.throws(() => jetStream(options), { code: 'PYLON_SSE_ERR_INVALID_OPTION', message }, JSON.stringify(options))
  }
  t.strictSame(jetStream({ servers, optional: true, maxPending: 5 }).limits, {
    optional: true,
    publishTimeout: 10_000,
    maxPending: 5,
    maxPendingBytes: 16 * 2 ** 20
  })
})
