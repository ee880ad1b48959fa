import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import t from 'tap'
import { BoardCluster, runCluster, START, servedBy } from '../kit/board-cluster.js'
import { withTimeout } from '../kit/patience.js'
import { startRedis } from '../kit/redis-server.js'
import { changesOf, snapshotOf } from '../kit/task-board.js'

// More than a quiet machine needs, since its processes take long to start on a busy one.
t.setTimeout(300_000)

const redis = (await startRedis(t))!
const skip = !redis
/** One for all that can share it, each in a room of its own: its processes take seconds to start. */
const board = skip ? undefined! : await BoardCluster.start(t, redis)

t.test('on three processes a change is heard by the clients of all of them', { skip }, async (t) => {
  const cookie = await board.logIn('Ann')
  const streams = await board.streamsOnEach(3, cookie)
  for (const stream of streams) t.match(await snapshotOf(stream), { tasks: [] }, 'the login holds on each of them')
  for (const [i, title] of ['One', 'Two', 'Three'].entries()) {
    t.equal((await board.create(cookie, title)).seq, i + 1, 'they count as one')
  }
  for (const stream of streams) {
    t.match(await changesOf(stream, 3), [
      { seq: 1, data: { title: 'One' } },
      { seq: 2, data: { title: 'Two' } },
      { seq: 3, data: { title: 'Three' } }
    ])
  }
})

t.test('a room, who is in it, and a logout are the same on all processes', { skip }, async (t) => {
  const [ann, bob] = [await board.logIn('Ann'), await board.logIn('Bob')]
  await board.call('POST', '/api/rooms', { cookie: ann, body: { title: 'Secret', members: ['Cy'] } })
  t.match(await board.call('POST', '/api/rooms', { cookie: bob, body: { title: 'Secret' } }), {
    status: 409,
    body: { code: 'ROOM_TAKEN' }
  })
  for (let i = 0; i < 3; i++) t.equal((await board.stream(bob, 'secret')).status, 403)
  const [stream, elsewhere] = await board.streamsOnEach(2, ann, 'team-b')
  const watching = await board.stream(bob, 'team-b')
  const arePeople = (people: string) => watching.until(({ event, data }) => event === 'presence' && data === people)
  await arePeople('{"people":["Ann","Bob"]}')
  await board.call('POST', '/api/logout', { cookie: ann })
  for (const each of [stream!, elsewhere!]) await each.waitForEnd()
  await arePeople('{"people":["Bob"]}')
  t.equal((await board.stream(ann)).status, 401)
})

t.test('when a process is killed, its clients go on with another one and miss nothing', { skip }, async (t) => {
  const ROOM = 'failover'
  const [ann, bob] = [await board.logIn('Ann'), await board.logIn('Bob')]
  await board.call('POST', '/api/rooms', { cookie: ann, body: { title: ROOM } })
  const stream = await board.stream(ann, ROOM)
  const pid = servedBy(stream)
  await board.create(bob, 'Before', ROOM)
  await changesOf(stream, 1)
  process.kill(pid, 'SIGKILL')
  await stream.waitForClose()
  await board.create(bob, 'Meanwhile', ROOM)
  const resumed = await board.stream(ann, ROOM, stream.lastEventId)
  t.not(servedBy(resumed), pid)
  await board.create(bob, 'After', ROOM)
  t.match(await changesOf(resumed, 2), [{ data: { title: 'Meanwhile' } }, { data: { title: 'After' } }])
  t.notMatch(resumed.body, 'resync')
  await board.waitFor(/has ended \(SIGKILL\)\nAnother one has taken its place/)
  const streams = await board.streamsOnEach(3, ann, ROOM)
  t.notOk(streams.map(servedBy).includes(pid), 'and there are three again')
  const watching = await board.stream(bob, ROOM)
  for (const each of [resumed, ...streams]) await each.close()
  await watching.until(({ event, data }) => event === 'presence' && data === '{"people":["Bob"]}')
})

t.test('it ends with a signal, and leaves nothing in Redis', { skip }, async (t) => {
  const cookie = await board.logIn('Ann')
  const streams = await board.streamsOnEach(3, cookie)
  await board.create(cookie, 'One')
  t.equal((await board.keys()).length, 1)
  t.equal(await board.stop(), 0)
  for (const stream of streams) await stream.waitForEnd()
  t.strictSame(await board.keys(), [])
})

t.test('without Redis it says so, and ends', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  const { child, output } = runCluster({ REDIS_URL: `redis://127.0.0.1:${port}` })
  const [code] = await withTimeout(once(child, 'close'), 'its end', START)
  t.equal(code, 1)
  t.match(output(), `could not start: The backplane redis at 127.0.0.1:${port} cannot be used`)
})

t.test('where the port is taken it says so, and ends', { skip }, async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { child, output } = runCluster({ REDIS_URL: redis.url, PORT: String(port) })
  const [code] = await withTimeout(once(child, 'close'), 'its end', START)
  t.equal(code, 1)
  t.match(output(), /could not start: .*EADDRINUSE/)
})
