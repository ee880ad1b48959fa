import { once } from 'node:events'
import fastifyRedis from '@fastify/redis'
import fastify from 'fastify'
import { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { Backplane, HistoryBounds } from '../../../lib/backplane/backplane.js'
import { create } from '../../../lib/backplane/redis/client.js'
import { type RedisClient, type RedisStreamsOptions, redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { bodiesOf, join, Listener, PLENTY, parcels } from '../../kit/backplane-listener.js'
import { requireBinary } from '../../kit/binary.js'
import { certificate } from '../../kit/certificate.js'
import { freePort, type RedisServer, type RedisServerOptions, startRedis } from '../../kit/redis-server.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

const KEY = 'pylon-sse'

/** A backplane until the end of the test. */
function open(t: Test, options: RedisStreamsOptions): Backplane {
  const backplane = redisStreams(options)
  t.teardown(() => backplane.close())
  return backplane
}

/** A client of the app's own. */
function ownClient<Client extends Redis | Cluster>(t: Test, client: Client): Client {
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  return client
}

function withRedis(title: string, run: (t: Test, server: RedisServer) => Promise<void>, options?: RedisServerOptions) {
  t.test(title, async (t) => {
    const server = await startRedis(t, options)
    if (server !== undefined) await run(t, server)
  })
}

/** What an error says, and all that a logger would print of it. */
async function failureOf(promise: Promise<unknown>): Promise<Error & { code: string; cause: Error; all: string }> {
  try {
    await promise
  } catch (error) {
    const { message, cause } = error as Error & { cause: Error }
    const all = JSON.stringify([message, cause?.message, cause?.stack, { ...(error as Error) }, { ...cause }])
    return Object.assign(error as Error & { code: string; cause: Error }, { all })
  }
  throw new Error('it was expected to fail')
}

t.test('invalid options are refused by name', async (t) => {
  const url = 'redis://localhost'
  const wrong: [options: unknown, names: RegExp][] = [
    [{}, /backplane.*neither client nor url/],
    [{ url, client: new Redis({ lazyConnect: true }) }, /backplane.*both/],
    [{ client: {} }, /backplane\.client/],
    [{ url: 'http://user:secret@localhost' }, /backplane\.url/],
    [{ url: 'localhost:6379' }, /backplane\.url/],
    [{ url: 7 }, /backplane\.url/],
    [{ url, key: '' }, /backplane\.key/],
    [{ url, maxLength: 999 }, /backplane\.maxLength.*999.*from 1000/],
    [{ url, maxLength: 1e9 + 0.5 }, /backplane\.maxLength/],
    [{ url, publishTimeout: 0 }, /backplane\.publishTimeout/],
    [{ url, maxlength: 5000 }, /backplane\.maxlength' does not exist; did you mean 'backplane.maxLength'\?/]
  ]
  for (const [options, names] of wrong) {
    const error = t.throws(() => redisStreams(options as RedisStreamsOptions), { code: 'PYLON_SSE_ERR_INVALID_OPTION' })
    t.match((error as unknown as Error).message, names)
    t.notMatch((error as unknown as Error).message, /secret/)
  }
  t.match(redisStreams({ url, optional: true, maxPending: 7 }), {
    name: 'redis',
    limits: { optional: true, maxPending: 7 }
  })
})

t.test('cursors compare by their numbers, and invalid ones are recognized', async (t) => {
  const { compare } = bound(redisStreams({ url: 'redis://localhost' }))
  t.ok(compare('9-0', '10-0')! < 0)
  t.ok(compare('10-10', '10-9')! > 0)
  t.equal(compare('5-5', '5-5'), 0)
  t.ok(compare('999999999999999-999999999999999', '999999999999999-999999999999998')! > 0)
  t.ok(compare('1000000000000000-0', '999999999999999-5')! > 0, 'Redis has ids of 64 bits')
  t.ok(compare('18446744073709551615-18446744073709551614', '18446744073709551615-18446744073709551615')! < 0)
  for (const none of [
    '',
    '5',
    '5-',
    '-5',
    '5-5-5',
    '05-5',
    '5-05',
    '5-x',
    ' 5-5',
    '5-5\n',
    'k3x9-42',
    '1e3-0',
    '18446744073709551616-0',
    '0-18446744073709551616',
    '100000000000000000000-0',
    '٣-٣'
  ]) {
    t.equal(compare(none, '5-5'), undefined, none)
    t.equal(compare('5-5', none), undefined)
  }
})

function bound(backplane: Backplane): Backplane {
  return { ...backplane, compare: backplane.compare.bind(backplane) }
}

withRedis('a process begins with the newest of what is there, within its bounds', async (t, { url, admin }) => {
  const loads = async (bounds: HistoryBounds) => {
    const { floor, history } = await join(open(t, { url }), bounds)
    return { floor, bodies: bodiesOf(history), cursors: history.map(({ cursor }) => cursor) }
  }
  t.strictSame(await loads(PLENTY), { floor: '0-0', bodies: [], cursors: [] })
  const writer = open(t, { url })
  await join(writer)
  const bodies = Array.from({ length: 100 }, (_, i) => `${i} ${'x'.repeat(1000)}`)
  const cursors = [...(await writer.publish(parcels(...bodies)))]
  t.strictSame(await loads(PLENTY), { floor: '0-0', bodies, cursors })
  for (const events of [1, 15, 16, 17, 99]) {
    const { floor, ...rest } = await loads({ ...PLENTY, events })
    t.strictSame(rest, { bodies: bodies.slice(-events), cursors: cursors.slice(-events) })
    t.ok(writer.compare(floor, rest.cursors[0]!)! < 0, 'the floor is before the first')
    t.ok(writer.compare(floor, cursors.at(-events - 1)!)! >= 0, 'and not before the one before')
  }
  const { length } = (await loads({ events: 1000, bytes: 50_000 })).bodies
  t.ok(length > 40 && length < 50, `${length} events of a kilobyte fit into 50`)
  t.equal((await loads({ events: 1000, bytes: 10 })).bodies.length, 1, 'the newest always does')
  await admin.xtrim(KEY, 'MAXLEN', 40)
  const trimmed = await loads(PLENTY)
  t.strictSame(trimmed.cursors, cursors.slice(-40))
  t.not(trimmed.floor, '0-0', 'what is gone is not forgotten')
  await admin.xtrim(KEY, 'MAXLEN', 0)
  t.strictSame(await loads(PLENTY), { floor: cursors.at(-1), bodies: [], cursors: [] })
})

withRedis('every entry comes once, in order, whoever published it, large ones too', async (t, { url, admin }) => {
  const [one, other] = [open(t, { url }), open(t, { url })]
  const listeners = [(await join(one)).listener, (await join(other)).listener]
  const ids: string[] = []
  for (let i = 0; i < 10; i++) {
    const bodies = Array.from({ length: 300 }, (_, n) => `${i} ${n}`)
    const [first, second] = await Promise.all([
      one.publish(parcels(...bodies)),
      other.publish(parcels('ä'.repeat(300_000)))
    ])
    ids.push(...first, ...second)
  }
  const compare = (a: string, b: string) => one.compare(a, b)!
  for (const listener of listeners) {
    const entries = await listener.waitForEntries(3010)
    t.strictSame(
      entries.map(({ cursor }) => cursor),
      [...ids].sort(compare)
    )
    t.ok(entries.every(({ cursor, at }) => cursor.startsWith(`${at}-`)))
    t.strictSame(listener.gaps, [])
  }
  t.equal(listeners[0]!.entries.filter(({ message: { body } }) => body === 'ä'.repeat(300_000)).length, 10)
  t.equal(await admin.xlen(KEY), 3010)
})

withRedis('all that a message has comes through', async (t, { url }) => {
  const backplane = open(t, { url })
  const { listener } = await join(backplane)
  const event = { kind: 'event' as const, body: 'data: ä€😀\n\n', id: 'own', topic: 'a.b', except: 'c', isText: true }
  const request = { key: 'k', digest: 'd', index: 0, count: 2 }
  const batch = [
    { messageId: 'p:1', message: { ...event, request } },
    { messageId: 'p:2', message: { kind: 'disconnect' as const, body: '{"selector":{"id":"x"}}' } }
  ]
  await backplane.publish(batch)
  const entries = await listener.waitForEntries(2)
  t.match(entries, batch)
  t.equal(entries.length, 2)
})

withRedis('what others put into the stream is passed over', async (t, { url, admin }) => {
  const foreign = async () => {
    await admin.xadd(KEY, '*', 'temperature', '20')
    await admin.xadd(KEY, '*', 'm', 'p:1', 'l', '{not json', 'b', '')
    await admin.xadd(KEY, '*', 'm', 'p:1', 'l', '{}', 'x', '')
    await admin.xadd(KEY, '*', 'm', 'p:1', 'l', '{"v":2}', 'b', 'data: x\n\n')
  }
  await foreign()
  const backplane = open(t, { url })
  const { history, floor, listener } = await join(backplane)
  t.strictSame([history, floor], [[], '0-0'])
  await foreign()
  await backplane.publish(parcels('ours'))
  t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['ours'])
  await foreign()
  await backplane.publish(parcels('ours, too'))
  t.strictSame(bodiesOf(await listener.waitForEntries(2)), ['ours', 'ours, too'])
  t.strictSame(bodiesOf((await join(open(t, { url }))).history), ['ours', 'ours, too'])
  t.equal(listener.foreign.length, 12, 'it is told of each')
})

withRedis('the fields of an entry may have any order, and others beside them', async (t, { url, admin }) => {
  const backplane = open(t, { url })
  const { listener } = await join(backplane)
  await admin.xadd(KEY, '*', 'b', 'one', 'later', '7', 'l', '{"topic":"a","later":{}}', 'm', 'p:1', 'b', 'not this')
  const [entry] = await listener.waitForEntries(1)
  t.match(entry, { messageId: 'p:1', message: { kind: 'event', body: 'one', topic: 'a' } })
})

withRedis('what follows an entry with the largest of times is read, too', async (t, { url, admin }) => {
  const backplane = open(t, { url })
  const { listener } = await join(backplane)
  await admin.xadd(KEY, '18446744073709551615-1', 'temperature', '20')
  const [cursor] = await backplane.publish(parcels('a'))
  t.equal(cursor, '18446744073709551615-2')
  t.match(await listener.waitForEntries(1), [{ cursor, message: { body: 'a' } }])
  const later = open(t, { url })
  const { history, listener: other } = await join(later)
  t.strictSame(bodiesOf(history), ['a'])
  await backplane.publish(parcels('b'))
  t.strictSame(bodiesOf(await other.waitForEntries(1)), ['b'])
})

withRedis('the stream is kept to about its length', async (t, { url, admin }) => {
  const backplane = open(t, { url, key: 'short', maxLength: 1000 })
  await join(backplane)
  for (let i = 0; i < 10; i++) await backplane.publish(parcels(...Array.from({ length: 500 }, () => 'x')))
  const length = await admin.xlen('short')
  t.ok(length >= 1000 && length < 1200, `${length} entries`)
})

withRedis(
  'who reads more slowly than the stream is trimmed is told, though it never lost its connection',
  async (t, { url, admin }) => {
    const backplane = open(t, { url, maxLength: 1000 })
    const { listener } = await join(backplane)
    await backplane.publish(parcels('before'))
    await listener.waitForEntries(1)
    const multi = admin.multi()
    for (let i = 0; i < 3000; i++) multi.xadd(KEY, 'MAXLEN', 1000, '*', 'm', `q:${i}`, 'l', '{}', 'b', String(i))
    await multi.exec()
    const { history, floor } = await listener.waitForGap()
    t.strictSame(
      bodiesOf(history),
      Array.from({ length: 1000 }, (_, i) => String(2000 + i))
    )
    t.ok(backplane.compare(floor, history[0]!.cursor)! < 0)
    await backplane.publish(parcels('after'))
    t.strictSame(bodiesOf(await listener.waitForEntries(2)), ['before', 'after'])
  }
)

withRedis('a server that has lost what was read before is told from one that only was away', async (t, server) => {
  const wire = await TcpProxy.to(t, server.port)
  const backplane = open(t, { url: `redis://127.0.0.1:${wire.port}` })
  const { listener } = await join(backplane)
  const [first] = await backplane.publish(parcels('kept', 'lost'))
  await listener.waitForEntries(2)
  wire.cut()
  await listener.waitForState(false)
  t.match(listener.states[0]![1], { code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE' })
  // As a replica that was promoted, and had not heard of the last entry.
  const { admin } = server
  const [[, fields]] = (await admin.xrange(KEY, first!, first!)) as [[string, string[]]]
  await admin.del(KEY)
  await admin.xadd(KEY, first!, ...fields)
  wire.mend()
  const { history, floor } = await listener.waitForGap()
  t.strictSame(bodiesOf(history), ['kept', listener.losses[0]!.message.body], 'the log tells of the loss')
  t.equal(floor, '0-0')
  await listener.waitForState(true)
  t.equal(listener.gaps.length, 1)
  await backplane.publish(parcels('new'))
  await listener.waitForEntries(3)
  t.strictSame(listener.bodies, ['kept', 'lost', 'new'])
})

withRedis('another entry of the same id is a loss', async (t, server) => {
  const wire = await TcpProxy.to(t, server.port)
  const backplane = open(t, { url: `redis://127.0.0.1:${wire.port}` })
  const { listener } = await join(backplane)
  const [id] = await backplane.publish(parcels('read'))
  await listener.waitForEntries(1)
  wire.cut()
  await listener.waitForState(false)
  // As a server whose clock is behind may give it.
  const { admin } = server
  await admin.del(KEY)
  await admin.xadd(KEY, id!, 'm', 'other:1', 'l', '{}', 'b', 'not read')
  wire.mend()
  const { history } = await listener.waitForGap()
  t.strictSame(bodiesOf(history), ['not read', listener.losses[0]!.message.body])
})

withRedis('where the server does not take the report of a loss, the process goes on without', async (t, server) => {
  const { admin } = server
  const wire = await TcpProxy.to(t, server.port)
  const backplane = open(t, { url: `redis://127.0.0.1:${wire.port}`, publishTimeout: 1000 })
  const { listener } = await join(backplane)
  const lose = async () => {
    const { length } = listener.entries
    await backplane.publish(parcels('1', '2'))
    await listener.waitForEntries(length + 2)
    wire.cut()
    await listener.waitForState(false)
    await admin.del(KEY)
  }
  await lose()
  await admin.config('SET', 'maxmemory', '1')
  wire.mend()
  await listener.waitForGap()
  t.equal(listener.losses.length, 1, 'it is refused for good')
  await admin.config('SET', 'maxmemory', '0')
  await listener.waitForState(true)

  await lose()
  // As amid a failover. It follows a server that is not there.
  await admin.replicaof('127.0.0.1', await freePort())
  wire.mend()
  await listener.waitForGap(2)
  t.ok(listener.losses.length > 2, 'it may be a failover: it is tried again')
  t.strictSame(
    listener.gaps.map(({ history }) => history),
    [[], []]
  )
})

withRedis('cursors of a stream that was deleted are none of the next one', async (t, { url, admin }) => {
  const old = open(t, { url })
  await join(old)
  const [cursor] = await old.publish(parcels('old'))
  await admin.del(KEY)
  const writer = open(t, { url })
  const { listener } = await join(writer)
  t.equal(writer.compare('0-0', '0-0'), 0)
  const [first] = await writer.publish(parcels('new'))
  await listener.waitForEntries(1)
  const late = open(t, { url })
  t.equal((await join(late)).floor, '0-0')
  for (const backplane of [writer, late]) {
    t.equal(backplane.compare(cursor!, first!), undefined, 'it is of the other stream')
    t.ok(backplane.compare('0-0', first!)! < 0, 'before everything a client may have been')
    t.equal(backplane.compare(first!, first!), 0)
  }
})

t.test('an unreachable engine is named in the error, with the reason', async (t) => {
  const port = await freePort()
  const failure = await failureOf(
    open(t, { url: `redis://user:secret@127.0.0.1:${port}` }).join(PLENTY, new Listener())
  )
  t.equal(failure.code, 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE')
  t.equal(failure.message, `The backplane redis at 127.0.0.1:${port} cannot be used: the connection was refused`)
  t.ok(failure.cause)
  t.notMatch(failure.all, /secret/)
  const client = ownClient(t, new Redis({ host: '127.0.0.1', port, password: 'secret', lazyConnect: true }))
  const other = await failureOf(open(t, { client }).join(PLENTY, new Listener()))
  t.equal(other.message, failure.message)
  t.notMatch(other.all, /secret/)
  const cluster = ownClient(t, new Cluster([{ host: '127.0.0.1', port }], { lazyConnect: true }))
  t.match(
    (await failureOf(open(t, { client: cluster }).join(PLENTY, new Listener()))).message,
    `redis at 127.0.0.1:${port}`
  )
})

withRedis('an engine that does not answer is given up', async (t, server) => {
  server.freeze()
  t.teardown(() => server.thaw())
  const failure = await failureOf(open(t, { url: server.url }).join(PLENTY, new Listener()))
  t.match(failure.message, /has not answered/)
})

t.test('without ioredis a url is refused, and the error says what to install', async (t) => {
  const missing = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
  await t.rejects(
    create('redis://localhost', () => Promise.reject(missing)),
    /npm install ioredis/
  )
  await t.rejects(
    create('redis://localhost', () => Promise.reject(new Error('other'))),
    /other/
  )
})

withRedis(
  'a password is used, and a wrong one named as the reason, but never shown',
  async (t, { port }) => {
    const host = `127.0.0.1:${port}`
    const right = open(t, { url: `redis://:secret%2Fright@${host}` })
    await join(right)
    await right.publish(parcels('x'))
    for (const [url, reason] of [
      [`redis://:secretwrong@${host}`, /the password is wrong/],
      [`redis://nobody:secretwrong@${host}`, /the password is wrong/],
      [`redis://${host}`, /asks for a password/]
    ] as const) {
      const failure = await failureOf(open(t, { url }).join(PLENTY, new Listener()))
      t.match(failure.message, reason)
      t.match(failure.message, `redis at ${host}`)
      t.notMatch(failure.all, /secretwrong/)
    }
  },
  { password: 'secret/right' }
)

withRedis('a key of another type is named, when joining and when publishing', async (t, { url, admin }) => {
  const backplane = open(t, { url })
  await join(backplane)
  await admin.set(KEY, 'a text')
  const refusal = await failureOf(backplane.publish(parcels('a', 'b')))
  t.match(refusal, { code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED', message: /redis.*no stream.*WRONGTYPE/ })
  const failure = await failureOf(open(t, { url }).join(PLENTY, new Listener()))
  t.match(failure, { code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE', message: /no stream.*WRONGTYPE/ })
})

withRedis('a read-only replica serves, and refuses what is published', async (t, server) => {
  const replica = await startRedis(t, { config: [`replicaof 127.0.0.1 ${server.port}`, 'repl-diskless-sync-delay 0'] })
  const writer = open(t, { url: server.url })
  await join(writer)
  const info = async () => /master_link_status:up/.test(await replica!.admin.info('replication'))
  while (!(await info())) await new Promise(setImmediate)
  const backplane = open(t, { url: replica!.url })
  const { listener } = await join(backplane)
  await writer.publish(parcels('from the master'))
  t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['from the master'])
  const refusal = await failureOf(backplane.publish(parcels('a')))
  t.match(refusal, { code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED', message: /read-only replica/ })
  await replica!.admin.replicaof('NO', 'ONE')
  await backplane.publish(parcels('now a master'))
})

withRedis('a server whose memory is full refuses a batch, all of it', async (t, { url, admin }) => {
  const backplane = open(t, { url })
  const { listener } = await join(backplane)
  await admin.config('SET', 'maxmemory', '1')
  const refusal = await failureOf(backplane.publish(parcels('a', 'b', 'secret body')))
  t.match(refusal, { code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED', message: /memory is full.*OOM/ })
  t.notMatch(refusal.all, /secret body/, 'what was refused is not logged')
  await admin.config('SET', 'maxmemory', '0')
  await backplane.publish(parcels('c'))
  t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['c'])
})

withRedis('a user needs no more rights than those of the stream', async (t, { port, admin }) => {
  const rights = ['+@connection', '+multi', '+exec', '+xadd', '+xread', '+xrevrange', '+xrange', '+xinfo', '+xlen']
  await admin.acl('SETUSER', 'app', 'on', '>pw', `~${KEY}`, ...rights)
  await admin.acl('SETUSER', 'reader', 'on', '>pw', `~${KEY}`, ...rights, '-xadd')
  const backplane = open(t, { url: `redis://app:pw@127.0.0.1:${port}` })
  const { listener } = await join(backplane)
  await backplane.publish(parcels('a'))
  await listener.waitForEntries(1)
  const reader = open(t, { url: `redis://reader:pw@127.0.0.1:${port}` })
  await join(reader)
  t.match(await failureOf(reader.publish(parcels('b'))), {
    code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED',
    message: /may not do this.*NOPERM/
  })
  await admin.acl('SETUSER', 'writer', 'on', '>pw', `~${KEY}`, ...rights, '-xread')
  const writer = open(t, { url: `redis://writer:pw@127.0.0.1:${port}` })
  t.match((await failureOf(writer.join(PLENTY, new Listener()))).message, /NOPERM.*xread/)
  await admin.acl('SETUSER', 'app', '-xread')
  await admin.client('KILL', 'USER', 'app')
  const [, error] = await listener.waitForState(false)
  t.ok(error)
  await admin.acl('SETUSER', 'app', '+xread')
  await listener.waitForState(true)
  t.equal(listener.states.length, 2, 'it is not said to be back before it can be read')
  const other = open(t, { url: `redis://app:pw@127.0.0.1:${port}`, key: 'other' })
  t.match((await failureOf(other.join(PLENTY, new Listener()))).message, /may not do this.*NOPERM/)
})

t.test('TLS works, with a url and with a client', async (t) => {
  if (requireBinary(t, 'openssl') === undefined) return
  const { key, cert } = await certificate()
  const server = await startRedis(t, { tls: { key, cert }, password: 'pw' })
  if (server === undefined) return
  const client = ownClient(t, new Redis(server.clientOptions))
  const backplane = open(t, { client })
  const { listener } = await join(backplane)
  await server.admin.ping()
  await backplane.publish(parcels('a'))
  await listener.waitForEntries(1)
  // The certificate is nobody's that a process trusts by itself.
  const failure = await failureOf(
    open(t, { url: `rediss://:pw@localhost:${server.port}` }).join(PLENTY, new Listener())
  )
  t.match(failure.message, /self-signed certificate/)
  t.match(
    (await failureOf(open(t, { url: `redis://:pw@127.0.0.1:${server.port}` }).join(PLENTY, new Listener()))).code,
    /UNAVAILABLE/
  )
})

withRedis(
  "the app's client keeps its key prefix and database, and what it is set to disturbs nothing",
  async (t, server) => {
    const hostile = {
      ...server.clientOptions,
      keyPrefix: 'app:',
      db: 3,
      commandTimeout: 500,
      enableAutoPipelining: true,
      stringNumbers: true,
      protocol: 3 as const,
      replyMapping: 'resp3' as const,
      connectionName: 'app',
      lazyConnect: true
    }
    const client = ownClient(t, new Redis(hostile))
    const backplane = open(t, { client: client as RedisClient })
    const { listener } = await join(backplane)
    await backplane.publish(parcels('a', 'b'))
    t.strictSame(bodiesOf(await listener.waitForEntries(2)), ['a', 'b'])
    // Longer than a command of the app's may take.
    await new Promise((resolve) => setTimeout(resolve, 1200))
    await backplane.publish(parcels('c'))
    await listener.waitForEntries(3)
    t.strictSame(listener.states, [])
    await server.admin.select(3)
    t.equal(await server.admin.exists(`app:${KEY}`), 1)
    t.equal(await client.ping(), 'PONG')
    t.strictSame((await server.connectionNames()).sort(), ['app', 'pylon-sse', 'pylon-sse', 'test'])
    await backplane.close()
    t.strictSame((await server.connectionNames()).sort(), ['app', 'test'], 'the client stays, its duplicates go')
  }
)

withRedis('the client of @fastify/redis', async (t, server) => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(fastifyRedis, { url: server.url })
  const backplane = open(t, { client: app.redis })
  const { listener } = await join(backplane)
  await backplane.publish(parcels('a'))
  await listener.waitForEntries(1)
  await backplane.close()
  await app.redis.ping()
})

withRedis(
  'Redis Cluster',
  async (t, { port, admin }) => {
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16383)
    while (!/cluster_state:ok/.test((await admin.cluster('INFO')) as string)) await new Promise(setImmediate)
    const client = ownClient(t, new Cluster([{ host: '127.0.0.1', port }], { scaleReads: 'slave', keyPrefix: 'app:' }))
    const backplane = open(t, { client })
    const { listener } = await join(backplane)
    while (client.status !== 'ready') await new Promise(setImmediate)
    await backplane.publish(parcels('a', 'b'))
    t.strictSame(bodiesOf(await listener.waitForEntries(2)), ['a', 'b'])
    t.equal(await admin.exists(`app:${KEY}`), 1)
    t.strictSame(bodiesOf((await join(open(t, { client }))).history), ['a', 'b'])
    await backplane.close()
    t.equal(await client.get('x'), null)
  },
  { config: ['cluster-enabled yes', 'cluster-announce-ip 127.0.0.1'] }
)

withRedis("nothing is given to the app's client, which may keep what it cannot send", async (t, server) => {
  const client = ownClient(t, new Redis(server.clientOptions))
  await once(client, 'ready')
  const sent = t.capture(client, 'sendCommand')
  const backplane = open(t, { client })
  const { listener } = await join(backplane)
  await backplane.publish(parcels('before'))
  server.freeze()
  t.teardown(() => server.thaw())
  t.match((await failureOf(backplane.publish(parcels('while frozen')))).message, /has not answered for 2000 ms/)
  await listener.waitForState(false)
  server.thaw()
  await listener.waitForState(true)
  await backplane.publish(parcels('after'))
  t.equal(bodiesOf(await listener.waitForEntries(3)).at(-1), 'after')
  t.strictSame(sent(), [])
})

withRedis('it is joined once, and not after it was closed', async (t, { url, ...server }) => {
  void server
  const backplane = open(t, { url })
  await join(backplane)
  t.match((await failureOf(backplane.join(PLENTY, new Listener()))).message, /joined already/)
  const closed = open(t, { url })
  const joining = closed.join(PLENTY, new Listener())
  const refused = t.rejects(joining, { code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE' })
  await closed.close()
  await refused
  await t.rejects(closed.publish(parcels('x')), { code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE' })
  await closed.close()
})
