import t from 'tap'
import { Heard } from '../../kit/diagnostics.js'
import { OPEN, snapshots, watched } from '../../kit/watched-hub.js'

t.test('snapshots list clients by lag, topics by subscribers, and the last disconnects', async (t) => {
  const gone = new Heard(t, 'pylon-sse:client:disconnect')
  const s = await watched(t, OPEN, { authorizeTopics: () => true })
  const first = await s.connect({ query: { topic: 'a' } })
  await s.connect({ path: '/events?topic=b&topic=h' })
  await s.connect({ path: '/events?topic=b&topic=g&topic=c&topic=f&topic=d&topic=e' })
  await first.close()
  await gone.at(0)
  const [second, third] = s.app.sse.clients
  const watching = await snapshots(s)
  s.app.sse.broadcast(1, { topic: 'b' })
  const snapshot = await watching.until(({ stats }) => stats.deliveries === 2)
  t.match(snapshot, {
    hub: 'sse',
    pid: process.pid,
    isWritable: true,
    stats: { connected: 2, accepted: 3, events: 1, ready: true },
    topics: {
      total: 7,
      top: [
        ['b', 2],
        ['c', 1],
        ['d', 1],
        ['e', 1],
        ['f', 1],
        ['g', 1],
        ['h', 1]
      ]
    },
    disconnects: [{ reason: 'disconnected', ip: '127.0.0.1', duration: Number, at: Number }]
  })
  t.strictSame(
    snapshot.clients.map(({ id, lag, topicCount, topics }) => [id, lag, topicCount, topics.length]).sort(),
    [
      [second!.id, 0, 2, 2],
      [third!.id, 0, 6, 5]
    ].sort()
  )
  t.equal(s.app.sse.clientCount, 2, 'who watches is no client of the hub')
})

t.test('a client can be found by id, address or topic', async (t) => {
  const s = await watched(t, OPEN, { authorizeTopics: () => true })
  await s.connect({ query: { topic: 'orders.7' }, localAddress: '127.0.0.9' })
  await s.connect()
  const clients = [...s.app.sse.clients]
  const ids = clients.sort((a, b) => b.topics.length - a.topics.length).map(({ id }) => id)
  const found = async (q: string) => {
    const { clients, total } = (await s.app.inject({ url: '/sse-dashboard/clients', query: { q } })).json()
    t.equal(total, clients.length)
    return clients.map(({ id }: { id: string }) => id)
  }
  t.strictSame(await found('orders'), [ids[0]])
  t.strictSame(await found('127.0.0.9'), [ids[0]])
  t.strictSame(await found(ids[1]!), [ids[1]])
  t.strictSame((await found('')).sort(), [...ids].sort())
  t.strictSame(await found('nobody'), [])
  t.equal((await s.app.inject('/sse-dashboard/clients?q=a&q=b')).json().total, 2)
})

t.test('a client over a unix socket has no address, and can be found', async (t) => {
  const s = await watched(t, OPEN, {}, { transport: 'unix' })
  await s.connect()
  const [client] = s.app.sse.clients
  const { clients } = (await s.app.inject(`/sse-dashboard/clients?q=${client!.id}`)).json()
  t.strictSame(
    clients.map(({ id }: { id: string }) => id),
    [client!.id]
  )
})
