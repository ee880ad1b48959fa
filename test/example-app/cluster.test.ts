import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { BoardCluster, runCluster, START, servedBy } from '../kit/board-cluster.js'
import { withTimeout } from '../kit/patience.js'
import { startPostgres } from '../kit/postgres-server.js'
import { eventually } from '../kit/processes.js'
import { changesOf, numberOf, type Snapshot } from '../kit/task-board.js'

// More than a quiet machine needs, since its processes take long to start on a busy one.
t.setTimeout(600_000)

const server = (await startPostgres(t))!
const skip = !server
/** One for all that can share it, each in a room of its own: its processes take seconds to start. */
const board = skip ? undefined! : await BoardCluster.start(t, server)

const isOf =
  (people: string[]) =>
  ({ event, data }: { event: string | undefined; data: string }) =>
    event === 'presence' && isDeepStrictEqual(JSON.parse(data), { people })

t.test('with three processes a change reaches the clients of all of them', { skip }, async (t) => {
  const cookie = await board.logIn('Ann')
  const streams = await board.streamsOnEach(3, cookie)
  for (const { status } of streams) t.equal(status, 200, 'the login holds on each of them')
  const answers = []
  for (const title of ['One', 'Two', 'Three']) answers.push(await board.create(cookie, title))
  const places = answers.map(({ cursor }) => numberOf(cursor))
  t.strictSame(
    places,
    places.toSorted((a, b) => a - b),
    'they count as one'
  )
  t.equal(new Set(places).size, 3)
  for (const stream of streams) t.strictSame(await changesOf(stream, 3), answers)
})

t.test('rooms, presence and logouts are shared by all processes', { skip }, async (t) => {
  const [ann, bob] = [await board.logIn('Ann'), await board.logIn('Bob')]
  await board.call('POST', '/api/rooms', { cookie: ann, body: { title: 'Secret', members: ['Cy'] } })
  t.match(await board.call('POST', '/api/rooms', { cookie: bob, body: { title: 'Secret' } }), {
    status: 409,
    body: { code: 'ROOM_TAKEN' }
  })
  for (let i = 0; i < 3; i++) t.equal((await board.stream(bob, 'secret')).status, 403)
  const [stream, elsewhere] = await board.streamsOnEach(2, ann, 'team-b')
  const watching = await board.stream(bob, 'team-b')
  const arePeople = (people: string[]) => watching.until(isOf(people))
  await arePeople(['Ann', 'Bob'])
  await board.call('POST', '/api/logout', { cookie: ann })
  for (const each of [stream!, elsewhere!]) await each.waitForEnd()
  await arePeople(['Bob'])
  t.equal((await board.stream(ann)).status, 401)
})

t.test('when a process is killed, its clients continue on another one and miss nothing', { skip }, async (t) => {
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
  await watching.until(isOf(['Bob']))
})

t.test('a report that the database is at work on when its process is killed leaves nobody', { skip }, async (t) => {
  const cookie = await board.logIn('Dot')
  const slow = await server.admin.connect()
  t.teardown(() => slow.release(true))
  await slow.query('begin')
  // Held until the end of the transaction: others that publish events cannot commit.
  await slow.query(`select pg_advisory_xact_lock('pylon_sse.commits'::regclass::oid::bigint)`)
  const stream = await board.stream(cookie, 'team-b')
  const pid = servedBy(stream)
  const rowsOf = async (query: string, values: unknown[] = []) => (await server.admin.query(query, values)).rows
  const isWaiting = `select from pg_stat_activity where wait_event = 'advisory' and query like '%board.visitors%'`
  await eventually(async () => (await rowsOf(isWaiting)).length > 0, 'the report waits')
  process.kill(pid, 'SIGKILL')
  await board.waitFor(new RegExp(`${pid} has ended .SIGKILL.\\nAnother one has taken its place`))
  await slow.query('commit')
  const known = 'select from board.processes where id = $1'
  await eventually(async () => (await rowsOf(known, [String(pid)])).length === 0, 'the process is gone')
  t.strictSame(await rowsOf(`select person from board.visitors where person = 'Dot'`), [])
})

t.test('a signal ends the app, which leaves no presence and no connection in the database', { skip }, async (t) => {
  const cookie = await board.logIn('Ann')
  const streams = await board.streamsOnEach(3, cookie)
  await board.create(cookie, 'One')
  t.equal(await board.stop(), 0)
  for (const stream of streams) await stream.waitForEnd()
  t.strictSame((await server.admin.query('select * from board.visitors')).rows, [])
  t.strictSame((await server.admin.query('select * from board.processes')).rows, [])
  // A backend notices a little later that its client has gone.
  const isAlone = async () => isDeepStrictEqual(await server.connectionNames(), ['test'])
  await eventually(isAlone, 'only the test is connected')
})

t.test('after a restart the app has its data and its logins again', { skip }, async (t) => {
  const again = await BoardCluster.start(t, server)
  const ann = await again.logIn('Ann')
  await again.stop()
  const later = await BoardCluster.start(t, server)
  const { body } = await later.call('GET', '/api/rooms/team-a', { cookie: ann })
  t.match((body as Snapshot).tasks, [{ title: 'One' }, { title: 'Two' }, { title: 'Three' }, { title: 'One' }])
  await later.stop()
})

t.test('without the database the app says so and exits', async (t) => {
  const closed = net.createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as AddressInfo
  closed.close()
  const { child, output } = runCluster({ DATABASE_URL: `postgres://ann:secret@127.0.0.1:${port}/board` })
  const [code] = await withTimeout(once(child, 'close'), 'its end', START)
  t.equal(code, 1)
  t.match(output(), `could not start: The backplane postgres at 127.0.0.1:${port}/board cannot be used`)
  t.notMatch(output(), 'secret')
  t.equal(output().trim().split('\n').length, 1, 'and says nothing else')
  const { child: other, output: said } = runCluster({})
  t.equal((await withTimeout(once(other, 'close'), 'its end', START))[0], 1)
  t.match(said(), 'could not start: DATABASE_URL is not set. It takes the URL of a Postgres')
})

t.test('if the port is taken the app says so and exits', { skip }, async (t) => {
  const taken = net.createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const { child, output } = runCluster({ DATABASE_URL: server.url, PORT: String(port) })
  const [code] = await withTimeout(once(child, 'close'), 'its end', START)
  t.equal(code, 1)
  t.match(output(), /could not start: .*EADDRINUSE/)
})
