import type { FastifyInstance, FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { IpLimit } from '../../../lib/hub/clients/ip-limit.js'
import type { PylonSseOptions } from '../../../lib/index.js'
import { type Clock, stopClock } from '../../kit/clock.js'
import { Connections } from '../../kit/connections.js'
import { type Gate, gate } from '../../kit/deferred.js'
import type { EventReader } from '../../kit/event-reader.js'
import { injectClient } from '../../kit/inject-client.js'
import { type Served, type ServeOptions, serve } from '../../kit/server.js'
import { KERNEL_HOLDS } from '../../kit/slow-reader.js'
import type { StreamRequest } from '../../kit/stream-request.js'

interface Limited extends Served {
  connections: Connections
}

async function serveLimited(t: Test, options: ServeOptions & { sse?: PylonSseOptions } = {}): Promise<Limited> {
  let connections!: Connections
  const setup = (app: FastifyInstance) => {
    connections = new Connections(app)
    return options.setup?.(app)
  }
  const s = await serve(t, { ...options, sse: { overLimit: 'status', ...options.sse }, setup })
  return { ...s, connections }
}

type Opened = EventReader & { close(): Promise<void> }
type Open = (request: StreamRequest) => Promise<Opened>

/** Shows that just so many get in; then they leave. */
async function hasFree(t: Test, s: Limited, free: number, what: string, request: StreamRequest = {}, open?: Open) {
  const before = s.connections.sockets.size
  const clients: Opened[] = []
  for (let i = 0; i <= free; i++) clients.push(await (open ?? s.connect)(request))
  t.strictSame(
    clients.map(({ status }) => status),
    [...new Array(free).fill(200), 429],
    what
  )
  await Promise.all(clients.map((client) => client.close()))
  await s.connections.waitForNumber(before)
}

function from(address: string): StreamRequest {
  return { headers: { 'x-forwarded-for': address } }
}

t.test('an address may have 64 streams open, and no more', async (t) => {
  const s = await serveLimited(t)
  await hasFree(t, s, 64, 'at first')
  await hasFree(t, s, 64, 'and again when they have gone')
})

t.test('a request over the limit gets 429 with Retry-After, in the form of all errors of the app', async (t) => {
  for (const transport of ['http', 'h2c'] as const) {
    const s = await serveLimited(t, { transport, sse: { maxClientsPerIp: 1, retry: 10_000 } })
    const open = transport === 'http' ? s.connect : s.connectH2
    await open()
    const seconds = new Set<string | null>()
    for (let i = 0; i < 30; i++) {
      const refused = await open()
      await refused.waitForEnd()
      t.equal(refused.status, 429, transport)
      t.equal(refused.headers.get('content-type'), 'application/json; charset=utf-8')
      t.strictSame(JSON.parse(refused.body), {
        statusCode: 429,
        code: 'PYLON_SSE_ERR_TOO_MANY_CLIENTS',
        error: 'Too Many Requests',
        message: 'You already have 1 event streams open, as many as you may have.'
      })
      seconds.add(refused.headers.get('retry-after'))
      await refused.close()
    }
    for (const value of seconds) t.match(value, /^1\d$|^20$/, 'whole seconds, once to twice the reconnection time')
    t.ok(seconds.size > 1, 'not the same for all, so that they do not come back at once')
    t.match(s.app.sse.stats(), { connected: 1, accepted: 1, rejected: { tooManyClients: 30 } })
  }
})

t.test('a client at its limit does not keep others from opening streams', async (t) => {
  const s = await serveLimited(t, { sse: { maxClientsPerIp: 2 } })
  const held = ['127.0.0.1', '127.0.0.2', '127.0.0.3'].flatMap((localAddress) => [{ localAddress }, { localAddress }])
  const clients = await Promise.all(held.map((place) => s.connect(place)))
  t.strictSame(
    clients.map(({ status }) => status),
    new Array(6).fill(200)
  )
  const refused = await s.connect({ localAddress: '127.0.0.2' })
  t.equal(refused.status, 429)
  await Promise.all([refused, clients[2]!].map((client) => client.close()))
  await s.connections.waitForNumber(5)
  await hasFree(t, s, 1, 'what 127.0.0.2 gave back is its own', { localAddress: '127.0.0.2' } as StreamRequest)
  await hasFree(t, s, 0, 'and not that of 127.0.0.1')
})

t.test('of many requests at once, as many as there are slots are admitted', async (t) => {
  const crossed = gate()
  const s = await serveLimited(t, {
    sse: { maxClientsPerIp: 10 },
    setup: (app) => app.addHook('onSend', () => crossed.pass())
  })
  const opening = Promise.all(Array.from({ length: 40 }, () => s.connect()))
  await crossed.reached
  crossed.open()
  const statuses = (await opening).map(({ status }) => status)
  t.equal(statuses.filter((status) => status === 200).length, 10)
  t.equal(statuses.filter((status) => status === 429).length, 30)
})

t.test('streams that share a connection count each', async (t) => {
  const s = await serveLimited(t, { transport: 'h2c', sse: { maxClientsPerIp: 3 } })
  const first = await s.connectH2()
  await Promise.all([s.connectH2({ over: first }), s.connectH2({ over: first })])
  t.equal((await s.connectH2({ over: first })).status, 429)
  t.equal((await s.connectH2()).status, 429)
  await first.abort()
  await s.connections.waitForNumber(1)
  await hasFree(t, s, 3, 'and are all given back with it', {}, s.connectH2)
})

t.test('behind a trusted proxy, the address is the forwarded one', async (t) => {
  const s = await serveLimited(t, { fastify: { trustProxy: true }, sse: { maxClientsPerIp: 1 } })
  const cases: [what: string, address: string, same: string[], others: string[]][] = [
    ['IPv4', '192.0.2.1', ['192.0.2.1', '192.0.2.1, 198.51.100.7'], ['192.0.2.2', '198.51.100.7, 192.0.2.1']],
    [
      'IPv4-mapped is IPv4',
      '192.0.2.1',
      ['::ffff:192.0.2.1', '::ffff:c000:201'],
      ['::ffff:192.0.2.2', '64:ff9b::192.0.2.1']
    ],
    [
      'IPv6 counts by /64',
      '2001:db8:0:1::1',
      ['2001:db8:0:1::2', '2001:DB8:0:1:ffff:ffff:ffff:ffff'],
      ['2001:db8:0:2::1', '2001:db8:1:1::1', '2001:db9:0:1::1']
    ]
  ]
  for (const [what, address, same, others] of cases) {
    const client = await s.connect(from(address))
    for (const other of same) await hasFree(t, s, 0, `${what}: ${other}`, from(other))
    for (const other of others) await hasFree(t, s, 1, `${what}: not ${other}`, from(other))
    await client.close()
    await s.connections.waitForNumber(0)
  }
})

t.test('a forwarded address from an untrusted proxy does not count', async (t) => {
  const s = await serveLimited(t, { sse: { maxClientsPerIp: 1 } })
  await s.connect(from('192.0.2.1'))
  await hasFree(t, s, 0, 'the connection says who it is', from('192.0.2.2'))
})

t.test('clients without an address have no limit; those behind a proxy on a unix socket have', async (t) => {
  const s = await serveLimited(t, { transport: 'unix', fastify: { trustProxy: true }, sse: { maxClientsPerIp: 2 } })
  const clients = []
  for (let i = 0; i < 10; i++) clients.push(await s.connect())
  t.strictSame(
    clients.map(({ status }) => status),
    new Array(10).fill(200)
  )
  for (const { ip } of s.app.sse.clients) t.equal(ip, undefined)
  await hasFree(t, s, 2, 'behind the proxy', from('192.0.2.1'))
})

t.test('false is no limit', async (t) => {
  const s = await serveLimited(t, { sse: { maxClientsPerIp: false } })
  const clients = await Promise.all(Array.from({ length: 100 }, () => s.connect()))
  t.ok(clients.every(({ status }) => status === 200))
  t.equal(s.app.sse.clientCount, 100)
})

// One address for all, on a unix socket as on TCP.
const VISITOR = from('192.0.2.1')
/** A request that the hooks below hold up or refuse; they let others pass. */
const MARKED: StreamRequest = { headers: { ...VISITOR.headers, 'x-marked': 'yes' } }

interface Scene extends ServeOptions {
  sse?: PylonSseOptions
  /** A client comes and goes; when this resolves, its slot is free. */
  act(s: Limited, resident: Opened): Promise<unknown>
}

interface Props {
  held: Gate
  clock: Clock
}

type RequestHook = (request: FastifyRequest) => Promise<void>

function holdUp({ held }: Props): RequestHook {
  return async ({ headers }) => {
    if (headers['x-marked']) await held.pass()
  }
}

const refuse: RequestHook = async ({ headers }) => {
  if (headers['x-marked']) throw new Error('no')
}

/** Comes as far as the gate, and is cut off there. */
function cutOffWhileHeld({ held }: Props, request: Parameters<Served['connect']>[0] = MARKED): Scene['act'] {
  return async (s) => {
    const client = await s.connect({ ...request, waitForHead: false })
    await held.reached
    await client.abort()
    await s.connections.waitForNumber(1)
  }
}

/** So much that a client which does not read is stuck with it. */
const BULK = 'x'.repeat(KERNEL_HOLDS.unix)
const onUnixSocket = { transport: 'unix' } as const

async function stuckClient(s: Limited): Promise<void> {
  await s.connect({ ...VISITOR, stuckBefore: 'body' })
  s.app.sse.broadcast(BULK)
}

const scenes: Record<string, (props: Props) => Scene> = {
  'its client leaves': () => ({
    async act(s) {
      const client = await s.connect(VISITOR)
      await client.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its client is cut off': () => ({
    async act(s) {
      const client = await s.connect(VISITOR)
      await client.abort()
      await s.connections.waitForNumber(1)
    }
  }),
  'its client ends its side of the connection': () => ({
    async act(s) {
      const client = await s.connect(VISITOR)
      client.endRequests()
      await s.connections.waitForNumber(1)
    }
  }),
  'its client of HTTP/1.0 leaves': () => ({
    async act(s) {
      const client = await s.connect({ ...VISITOR, httpVersion: '1.0' })
      await client.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its client is cut off before the head, in an onRequest hook': (props) => ({
    setup: (app) => app.addHook('onRequest', holdUp(props)),
    act: cutOffWhileHeld(props)
  }),
  'its client is cut off before the head, in a preHandler of the route': (props) => ({
    sse: { route: { preHandler: holdUp(props) } },
    act: cutOffWhileHeld(props)
  }),
  'its client is cut off before the head, in an onSend hook': (props) => ({
    setup: (app) => app.addHook('onSend', holdUp(props)),
    act: cutOffWhileHeld(props)
  }),
  'its client is cut off before the head, while an answer before its own is due': (props) => ({
    setup: (app) => {
      app.get('/slow', { preHandler: holdUp(props) }, async () => 'slow')
    },
    act: cutOffWhileHeld(props, { ...VISITOR, before: [{ ...MARKED, path: '/slow' }] })
  }),
  'its client is cut off while onConnect works': (props) => ({
    sse: { onConnect: (_client, request) => holdUp(props)(request) },
    act: cutOffWhileHeld(props)
  }),
  'onConnect rejects': () => ({
    sse: { onConnect: (_client, request) => refuse(request) },
    async act(s) {
      const client = await s.connect(MARKED)
      await client.waitForEnd()
    }
  }),
  'onConnect throws': () => ({
    sse: {
      onConnect: (_client, { headers }) => {
        if (headers['x-marked']) throw new Error('no')
      }
    },
    async act(s) {
      const client = await s.connect(MARKED)
      await client.waitForEnd()
    }
  }),
  'onConnect closes it': () => ({
    sse: {
      onConnect: (client, { headers }) => {
        if (headers['x-marked']) client.close()
      }
    },
    async act(s) {
      const client = await s.connect(MARKED)
      await client.waitForEnd()
    }
  }),
  'an onSend hook fails': () => ({
    setup: (app) => app.addHook('onSend', refuse),
    async act(s) {
      const client = await s.connect(MARKED)
      await client.waitForEnd()
    }
  }),
  'the app closes it': () => ({
    async act(s) {
      const client = await s.connect(VISITOR)
      const [, newest] = s.app.sse.clients
      newest!.close()
      newest!.close()
      await client.waitForEnd()
    }
  }),
  'it falls too far behind': () => ({
    ...onUnixSocket,
    sse: { overflow: 'disconnect', queueDepth: 1 },
    async act(s, resident) {
      await stuckClient(s)
      await resident.next()
      for (let i = 0; i < 3; i++) s.app.sse.broadcast(i)
      await s.connections.waitForNumber(1)
    }
  }),
  'it is stuck for too long': ({ clock }) => ({
    ...onUnixSocket,
    sse: { keepAliveInterval: 0, stallTimeout: 1000 },
    async act(s, resident) {
      await stuckClient(s)
      await resident.next()
      const gone = s.connections.waitForNumber(1)
      const passing = setInterval(() => clock.advance(500), 20)
      await gone.finally(() => clearInterval(passing))
    }
  }),
  'the app closes it while it is stuck': () => ({
    ...onUnixSocket,
    async act(s) {
      await stuckClient(s)
      const [, newest] = s.app.sse.clients
      newest!.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its stream of HTTP/2 is reset': () => ({
    transport: 'h2c',
    async act(s) {
      const client = await s.connectH2(VISITOR)
      await client.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its stream of HTTP/2 is reset before the head, in an onSend hook': (props) => ({
    transport: 'h2c',
    setup: (app) => app.addHook('onSend', holdUp(props)),
    async act(s) {
      const client = await s.connectH2({ ...MARKED, waitForHead: false })
      await props.held.reached
      await client.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its stream of HTTP/2 is reset before the head, in an onRequest hook': (props) => ({
    transport: 'h2c',
    setup: (app) => app.addHook('onRequest', holdUp(props)),
    async act(s) {
      const client = await s.connectH2({ ...MARKED, waitForHead: false })
      await props.held.reached
      await client.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its connection of HTTP/2 is cut': () => ({
    transport: 'h2c',
    async act(s) {
      const client = await s.connectH2(VISITOR)
      await client.abort()
      await s.connections.waitForNumber(1)
    }
  }),
  'it was injected and is destroyed': () => ({
    async act(s) {
      const client = await injectClient(s.app, VISITOR)
      await client.close()
    }
  })
}

for (const [how, sceneOf] of Object.entries(scenes)) {
  t.test(`a slot is given back, and only once, when ${how}`, async (t) => {
    const props: Props = { held: gate(), clock: stopClock(t) }
    const { act, sse, ...options } = sceneOf(props)
    const s = await serveLimited(t, {
      ...options,
      fastify: { trustProxy: true },
      sse: { maxClientsPerIp: 3, ...sse }
    })
    const open: Open = options.transport === 'h2c' ? s.connectH2 : s.connect
    const resident = await open(VISITOR)
    await act(s, resident)
    await hasFree(t, s, 2, 'as soon as it is gone', VISITOR, open)
    props.held.open()
    await hasFree(t, s, 2, 'and still when all hooks are through', VISITOR, open)
    t.equal(s.app.sse.clientCount, 1)
    t.equal(resident.isClosed, false)
  })
}

t.test('when the app has closed, no slot is taken', async (t) => {
  const held = gate()
  // Nobody can come any more to try.
  const limits = new Set<IpLimit>()
  const { acquire } = IpLimit.prototype
  t.intercept(IpLimit.prototype, 'acquire', {
    value(this: IpLimit, ip: string) {
      limits.add(this)
      return acquire.call(this, ip)
    }
  })
  const s = await serveLimited(t, {
    sse: { maxClientsPerIp: 3 },
    setup: (app) => app.addHook('onSend', holdUp({ held } as Props))
  })
  const client = await s.connect()
  const waiting = await s.connect({ ...MARKED, waitForHead: false })
  await held.reached
  const closed = s.app.close()
  await client.waitForEnd()
  held.open()
  await waiting.closed
  await closed
  t.strictSame(
    [...limits].map(({ size }) => size),
    [0]
  )
})
