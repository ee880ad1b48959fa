import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { type PylonSseOptions, resolveOptions } from '../../lib/api/options.js'
import type { Client } from '../../lib/hub/clients/client.js'
import type { Home } from '../../lib/hub/clients/client-context.js'
import { Shard } from '../../lib/hub/clients/shard.js'
import { Hub } from '../../lib/hub/hub.js'
import { Audiences } from '../../lib/log/audience.js'
import { EventLog } from '../../lib/log/event-log.js'
import { RequestHandler } from '../../lib/routes/request-handler.js'
import { addRoutes } from '../../lib/routes/routes.js'
import { ConnectionDeadlines } from '../../lib/wire/connection-deadlines.js'
import { Connections } from '../kit/connections.js'
import { range } from '../kit/processes.js'
import { type Served, serve } from '../kit/server.js'
import type { ConnectOptions } from '../kit/sse-client.js'
import { writesByTurn } from '../kit/turns.js'

const silent = { debug() {}, warn() {}, error() {} }

/** The numbers of the clients, by shard. */
function numbersOf(hub: Hub): number[][] {
  return hub.clients.shards.map((shard) => [...shard.clients()].map(({ number }) => number))
}

/** A hub behind its route, without the plugin that hides it from the app. */
async function serveHub(t: Test, options: PylonSseOptions = {}): Promise<Served & { hub: Hub }> {
  const resolved = resolveOptions(options)
  const hub = new Hub(resolved, silent)
  const setup = (app: FastifyInstance) => {
    app.addHook('preClose', () => hub.close())
    const connections = new ConnectionDeadlines()
    const entrance = new RequestHandler(hub, connections, resolved)
    return app.register((scope) => addRoutes(scope, hub, connections, entrance, { ...resolved, path: '/events' }))
  }
  return { ...(await serve(t, { sse: false, setup })), hub }
}

async function connectInTurn(s: Pick<Served, 'connect'>, count: number, options: ConnectOptions = {}) {
  const clients = []
  for (let i = 0; i < count; i++) clients.push(await s.connect(options))
  return clients
}

t.test('a hub has sixteen shards at the start, and no clients', async (t) => {
  const hub = new Hub(resolveOptions({}), silent)
  t.strictSame(numbersOf(hub), new Array(16).fill([]))
  t.equal(hub.clients.size, 0)
  t.strictSame([...hub.clients], [])
})

t.test('a broadcast on a hub without clients writes nothing, and occupies no turn of the event loop', async (t) => {
  const turns = t.capture(globalThis, 'setImmediate', setImmediate)
  const hub = new Hub(resolveOptions({}), silent)
  hub.broadcaster.broadcast({ n: 1 })
  hub.broadcaster.broadcastText('hello')
  t.match(await hub.broadcaster.publish('third'), /-3$/)
  t.equal(turns().length, 0)
  t.match(hub.stats(), { connected: 0, events: 3, deliveries: 0, bytes: 0, dropped: 0 })
})

t.test('a keepalive on a shard without clients does nothing, nor does a flush', async (t) => {
  const log = new EventLog({ epoch: 'life', replay: 10, events: 10, bytes: 1000 })
  const shard = new Shard(log, () => t.fail('there is nothing to flush'))
  shard.tend(performance.now(), 0, 1, { keepAliveInterval: 0, stallTimeout: 0, maxConnectionAge: 0 })
  log.append('data: 1\n\n')
  shard.flush(performance.now())
  shard.tend(performance.now(), 0, 1, { keepAliveInterval: 0, stallTimeout: 0, maxConnectionAge: 0 })
  t.equal(shard.flush(performance.now()), 0)
  t.equal(shard.size, 0)
  t.equal(shard.offered, 1, 'and holds no event back from being evicted')
})

t.test(
  'clients are numbered in the order of their arrival, and dealt to the shards sixty-four by sixty-four',
  async (t) => {
    const { hub, ...s } = await serveHub(t, { shards: 2, maxClientsPerIp: false })
    const clients = await connectInTurn(s, 150)
    const dealt = [[...range(0, 63), ...range(128, 149)], range(64, 127)]
    t.strictSame(numbersOf(hub), dealt)

    hub.broadcaster.broadcast('everyone')
    const events = await Promise.all(clients.map((client) => client.next()))
    t.strictSame(
      events.map(({ data }) => data),
      new Array(150).fill('"everyone"')
    )

    for (const client of hub.clients.shards.flatMap((shard) => [...shard.clients()]))
      if (client.number % 2) client.close()
    await Promise.all(clients.filter((_, i) => i % 2).map((client) => client.waitForEnd()))
    await connectInTurn(s, 2)
    t.equal(hub.clients.size, 75 + 2)
    t.strictSame(
      numbersOf(hub).map((numbers) => numbers.sort((a, b) => a - b)),
      dealt.map((numbers, i) => [...numbers.filter((number) => number % 2 === 0), ...(i === 0 ? [150, 151] : [])]),
      'the number of a client that has gone is not given again'
    )
  }
)

t.test('clients are dealt to as many shards as the option says', async (t) => {
  for (const shards of [1, 3]) {
    const { hub, ...s } = await serveHub(t, { shards, maxClientsPerIp: false })
    await connectInTurn(s, 193)
    t.strictSame(
      numbersOf(hub),
      shards === 1 ? [range(0, 192)] : [[...range(0, 63), 192], range(64, 127), range(128, 191)]
    )
  }
})

t.test('few clients of one audience are kept in one shard, and many in several', async (t) => {
  const options = { maxClientsPerIp: false as const, authorizeTopics: () => true as const }
  const { hub, ...s } = await serveHub(t, options)
  const join = (topic: string) => s.connect({ path: `/events?topic=${topic}` })
  for (let i = 0; i < 10; i++) for (const topic of ['a', 'b']) await join(topic)
  const sizes = () => hub.clients.shards.map(({ size }) => size).filter((size) => size > 0)
  t.strictSame(sizes(), [10, 10])
  const clients = []
  for (let i = 10; i < 64 + 160; i++) clients.push(await join('a'))
  // The first 64 of a are with the 54 that came next, and the ten of b with 64 others.
  t.strictSame(sizes(), [64 + 54, 10 + 64, 42])
  hub.broadcaster.broadcast(1, { topic: 'a' })
  for (const client of clients) t.equal((await client.next()).data, '1')
})

t.test('whoever goes while clients are gone through, nobody else is passed over or met twice', async (t) => {
  const { hub, ...s } = await serveHub(t, { shards: 1 })
  await connectInTurn(s, 9)
  const met: number[] = []
  for (const client of hub.clients) {
    met.push(client.number)
    // Itself, one that has been met, and one that has not.
    const going = { 0: [0], 3: [1, 5], 4: [4] }[client.number] ?? []
    for (const other of [...hub.clients]) if (going.includes(other.number)) other.close()
  }
  t.strictSame(met, [0, 1, 2, 3, 4, 6, 7, 8])
  t.strictSame(new Set(numbersOf(hub)[0]), new Set([2, 3, 6, 7, 8]))
  t.equal(hub.clients.size, 5)
})

t.test('whoever is cut amid a flush, everyone else is flushed', async (t) => {
  const log = new EventLog({ epoch: 'life', replay: 10, events: 10, bytes: 1000 })
  const { everyone } = new Audiences()
  for (const going of [[0], [4], [2], [1, 0], [2, 3], [3, 1, 4], [0, 1, 2, 3, 4]]) {
    const shard = new Shard(log, () => {})
    const homes = new Map<number, { home: Home; client: Client }>()
    const flushed: number[] = []
    const advance = (number: number) => {
      flushed.push(number)
      if (number !== 2) return
      for (const other of going) {
        const { home, client } = homes.get(other)!
        homes.delete(other)
        home.leave(client)
      }
    }
    for (let number = 0; number < 5; number++) {
      const client = {
        number,
        audience: everyone,
        settleIn: (home: Home) => homes.set(number, { home, client }),
        advance: () => advance(number)
      } as unknown as Client
      shard.add(client)
    }
    shard.touchAll()
    shard.flush(0)
    const left = [0, 1, 2, 3, 4].filter((number) => number <= 2 || !going.includes(number))
    t.strictSame(flushed.sort(), left, `${going}`)
    t.equal(shard.size, 5 - going.length)
  }
})

t.test('a broadcast is written one shard a turn, so that the app serves others in between', async (t) => {
  let connections!: Connections
  const s = await serve(t, {
    sse: { shards: 4, maxClientsPerIp: false },
    setup: (app) => {
      connections = new Connections(app)
    }
  })
  const clients = await connectInTurn(s, 4 * 64 + 2)
  const writes = writesByTurn(connections.sockets)
  s.app.sse.broadcast(1)
  s.app.sse.broadcast(2)
  t.strictSame(writes, [], 'nor in the turn of the caller')
  await Promise.all(clients.map((client) => client.take(2)))
  t.strictSame(writes, [66, 64, 64, 64], 'one write a client, whatever the number of events')
})

t.test('shards that have few clients are flushed together, for a turn to be worth its while', async (t) => {
  let connections!: Connections
  const s = await serve(t, {
    sse: { authorizeTopics: () => true },
    setup: (app) => {
      connections = new Connections(app)
    }
  })
  const clients = []
  for (const own of ['a', 'b', 'c', 'd', 'e'])
    clients.push(...(await connectInTurn(s, 8, { path: `/events?topic=news&topic=${own}` })))
  const writes = writesByTurn(connections.sockets)
  s.app.sse.broadcast(1, { topic: 'news' })
  await Promise.all(clients.map((client) => client.next()))
  // Each audience of eight clients is in a shard of its own.
  t.strictSame(writes, [16, 16, 8])
})
