import t from 'tap'
import { from, hasFree, serveLimited } from '../../kit/client-limit.js'
import { gate } from '../../kit/deferred.js'
import type { StreamRequest } from '../../kit/stream-request.js'

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
    const others = [...seconds].filter((value) => !/^1\d$|^20$/.test(value ?? ''))
    t.strictSame(others, [], 'whole seconds, once to twice the reconnection time')
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

t.test('with maxClientsPerIp: false an address has no limit', async (t) => {
  const s = await serveLimited(t, { sse: { maxClientsPerIp: false } })
  const clients = await Promise.all(Array.from({ length: 100 }, () => s.connect()))
  t.ok(clients.every(({ status }) => status === 200))
  t.equal(s.app.sse.clientCount, 100)
})
