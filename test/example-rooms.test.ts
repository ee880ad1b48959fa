import t from 'tap'
import { add, isLive, openRoom, says, shows } from './kit/board-page.js'
import { launchChromium } from './kit/chromium.js'
import { type Change, changesOf, snapshotOf, TaskBoard, type Visitor } from './kit/task-board.js'

const browser = (await launchChromium(t))!
const skip = !browser

t.test('what is done in a room is heard in this room alone', async (t) => {
  const board = await TaskBoard.serve(t)
  const [inA, inB] = [await board.visitor('Ann', 'team-a'), await board.visitor('Bob', 'team-b')]
  const [a, b] = [await inA.stream(), await inB.stream()]
  await inA.create('Of A')
  await inB.create('Of B')
  t.match(await changesOf(b, 1), [{ seq: 1, data: { title: 'Of B' } }])
  t.match(await changesOf(a, 1), [{ seq: 1, data: { title: 'Of A' } }])
  await b.close()
  await inA.create('Of A, too')
  const resumed = await inB.stream({ lastEventId: b.lastEventId })
  await inB.create('Of B, too')
  t.match(await changesOf(resumed, 1), [{ data: { title: 'Of B, too' } }], 'nor after a reconnection')
  t.notMatch(resumed.body, 'Of A')
  t.match(await snapshotOf(await inB.stream()), { people: ['Bob'], tasks: [{ title: 'Of B' }, { title: 'Of B, too' }] })
})

t.test('a private room is for its creator and those invited', async (t) => {
  const board = await TaskBoard.serve(t)
  const of = (name: string) => board.visitor(name, 'secret')
  const [ann, bob, cy] = [await of('Ann'), await of('bob'), await of('Cy')]
  const room = { name: 'secret', title: 'Secret', members: ['Ann', 'Bob'], creator: 'Ann' }
  t.match(await ann.call('POST', '/api/rooms', { title: 'Secret', members: ['Bob'] }), { status: 201, body: room })
  await ann.create('Hidden')

  const stream = await cy.stream()
  t.equal(stream.status, 403)
  const page = await cy.stream({ headers: { accept: 'application/json' } })
  t.equal(page.status, 403, 'nor by JSON')
  t.equal((await cy.stream({ lastEventId: 'x-0' })).status, 403, 'nor resuming')
  const NO_ROOM = { status: 403, body: { code: 'NO_SUCH_ROOM' } }
  t.match(await cy.tasks('GET'), NO_ROOM)
  t.match(await cy.tasks('POST', '', { title: 'x' }), NO_ROOM)
  t.match(await cy.tasks('PATCH', '/x', { title: 'x' }), NO_ROOM)
  t.match(await cy.tasks('DELETE', '/x'), NO_ROOM)
  t.match(await (await board.visitor('Cy', 'none')).tasks('GET'), NO_ROOM, 'as if there were none')
  const names = async (visitor: Visitor) =>
    (await visitor.call<{ rooms: { name: string }[] }>('GET', '/api/me')).body.rooms.map(({ name }) => name)
  t.strictSame(await names(cy), ['team-a', 'team-b'], 'and it is not listed')

  t.strictSame(await names(bob), ['team-a', 'team-b', 'secret'])
  t.match(
    await snapshotOf(await bob.stream()),
    { tasks: [{ title: 'Hidden' }] },
    'in whatever case they write their name'
  )
})

t.test('a stream is of one room, by its name', async (t) => {
  const board = await TaskBoard.serve(t)
  const ann = await board.visitor()
  const forbidden = [
    'lobby.*',
    'person.ann',
    'person.*',
    'room.*',
    'room.**',
    '*',
    '**',
    '*.team-a',
    'room',
    'room.none',
    'room.team-a.x',
    'room.team-a/',
    'team-a'
  ]
  for (const topic of forbidden) t.equal((await ann.stream({ query: { topic } })).status, 403, topic)
  t.equal((await ann.stream({ query: { topic: 'lobby' } })).status, 200, 'or the lobby')
  for (const path of [
    '/events',
    '/events?topic=',
    '/events?topic=room.team-a&topic=room.team-b',
    '/events?topic=room.*a'
  ]) {
    const { status } = await board.call('GET', path, undefined, { cookie: ann.cookie })
    t.equal(status, 400, path)
  }
})

t.test('a room keeps its name as it was typed, beside the one in its URL, and there are not too many', async (t) => {
  const board = await TaskBoard.serve(t, { maxRooms: 7 })
  const ann = await board.visitor()
  const create = (body: unknown) => ann.call<{ name: string; title: string }>('POST', '/api/rooms', body)
  for (const title of ['', ' ', '*', '**', '..', '/', 'a\n', '\u202eabc', 'x'.repeat(33), 7, null]) {
    const { status, body } = await create({ title })
    const message = /^A room's name takes up to 32 visible characters, and at least one of them is a letter or a digit/
    t.match({ status, body }, { status: 400, body: { message } }, JSON.stringify(title))
  }
  t.match(await create({ title: 'new', members: ['Bob', '-Cy'] }), {
    status: 400,
    body: { message: /^A person's name takes .*: not “-Cy”$/ }
  })
  for (const members of ['Bob', ['<b>'], [''], [7], Array(21).fill('Bob')]) {
    t.equal((await create({ title: 'new', members })).status, 400, JSON.stringify(members).slice(0, 40))
  }
  const names = { ' Café & Küche ': 'café-küche', '*.a/b..': 'a-b', ['東'.repeat(32)]: '東'.repeat(32) }
  for (const [title, name] of Object.entries(names)) {
    t.strictSame((await create({ title, members: [] })).body, { name, title: title.trim(), creator: 'Ann' })
    const visitor = await board.visitor('Bob', encodeURIComponent(name))
    t.equal((await visitor.create('Inside')).title, 'Inside')
    const stream = await visitor.stream({ query: { topic: `room.${name}` } })
    t.match(await snapshotOf(stream), { tasks: [{ title: 'Inside' }] }, name)
  }
  for (const title of ['team A', 'Team-a!', 'CAFÉ KÜCHE']) {
    t.match(await create({ title }), { status: 409, body: { code: 'ROOM_TAKEN' } }, title)
  }
  await create({ title: 'new' })
  await create({ title: 'newer' })
  t.match(await create({ title: 'newest' }), { status: 409, body: { code: 'TOO_MANY_ROOMS' } })
})

t.test('between the snapshot and the changes after it nothing is missing', async (t) => {
  const board = await TaskBoard.serve(t)
  const ann = await board.visitor()
  const followers = []
  for (let i = 0; i < 20; i++) {
    const creating = Promise.all([ann.create(`a${i}`), ann.create(`b${i}`), ann.create(`c${i}`)])
    followers.push(await ann.stream())
    await creating
  }
  await ann.create('last')
  for (const follower of followers) {
    const { seq, tasks } = await snapshotOf(follower)
    t.equal(tasks.length, seq)
    const later = (await changesOf(follower, 61 - seq)).map((change) => change.seq)
    t.strictSame(
      later,
      Array.from(later, (_, i) => seq + 1 + i),
      `${seq} rows, and each change since`
    )
  }
})

t.test('a client that resumes gets the rows, and what it missed', async (t) => {
  const board = await TaskBoard.serve(t)
  const ann = await board.visitor()
  const before = await ann.stream()
  const { clientId } = await snapshotOf(before)
  await before.close()
  await ann.create('Missed')
  const after = await ann.stream({ lastEventId: before.lastEventId })
  const snapshot = await snapshotOf(after)
  t.match(snapshot, { seq: 1, tasks: [{ title: 'Missed' }] })
  t.not(snapshot.clientId, clientId, 'and another client id')
  t.match(await changesOf(after, 1), [{ seq: 1 }], '`seq` says that the rows include it')
})

t.test('a change comes back to everyone but the stream that is named', async (t) => {
  const board = await TaskBoard.serve(t)
  const ann = await board.visitor()
  const [own, other] = [await ann.stream(), await ann.stream()]
  const { clientId } = await snapshotOf(own)
  const named = { 'x-client-id': clientId }
  const { body: created } = await ann.tasks('POST', '', { title: 'a' }, named)
  const { body: changed } = await ann.tasks('PATCH', `/${created.row_id}`, { title: 'b' }, named)
  const { body: deleted } = await ann.tasks('DELETE', `/${created.row_id}`, undefined, named)
  const { body: unnamed } = await ann.tasks('POST', '', { title: 'c' })
  t.strictSame(await changesOf(other, 4), [created, changed, deleted, unnamed], 'just as they were answered')
  t.strictSame(await changesOf(own, 1), [unnamed])
  const answer = await ann.tasks('POST', '', { title: 'a' }, { 'x-client-id': 'x'.repeat(5000) })
  t.equal(answer.status, 400, 'what is no client id is not kept with the event')
})

t.test('a change is answered with all that a copy of the board needs', async (t) => {
  const board = await TaskBoard.serve(t)
  const ann = await board.visitor()
  const start = Date.now()
  const { status, body: created } = await ann.tasks('POST', '', { title: '  Bake bread ' })
  t.equal(status, 201)
  const task = created.data!
  t.match(task, { id: /^[\w-]{36}$/, title: 'Bake bread', author: 'Ann', status: 'todo', position: 1 })
  const path = `/${task.id}`
  const { body: moved } = await ann.tasks('PATCH', path, { status: 'done' })
  const { body: renamed } = await ann.tasks('PATCH', path, { title: 'Bake rye bread' })
  const { body: unchanged } = await ann.tasks('PATCH', path, { title: 'Bake rye bread', status: 'done' })
  t.match(await ann.tasks('GET'), { status: 200, body: { seq: 3, tasks: [renamed.data] } })
  const { body: deleted } = await ann.tasks('DELETE', path)
  const change = { entity: 'task', row_id: task.id, user: 'Ann' }
  t.strictSame(
    [created, moved, renamed, unchanged, deleted].map(({ timestamp, ...rest }) => rest),
    [
      { seq: 1, ...change, kind: 'insert', data: task },
      { seq: 2, ...change, kind: 'update', data: { ...task, status: 'done', position: 2 } },
      { seq: 3, ...change, kind: 'update', data: { ...task, status: 'done', position: 2, title: 'Bake rye bread' } },
      { seq: 3, ...change, kind: 'update', data: renamed.data },
      { seq: 4, ...change, kind: 'delete', data: null }
    ],
    'setting what is set already is no change'
  )
  for (const { timestamp } of [created, deleted]) {
    t.equal(new Date(timestamp).toISOString(), timestamp)
    t.ok(Date.parse(timestamp) >= start && Date.parse(timestamp) <= Date.now())
  }
  t.strictSame((await ann.tasks<object>('GET')).body, { seq: 4, tasks: [] })
})

t.test('the API refuses what is no task or no change, says why, and tells nobody of it', async (t) => {
  const board = await TaskBoard.serve(t, { maxTasks: 1 })
  const ann = await board.visitor()
  const client = await ann.stream()
  const { id } = await ann.create('The only one')
  type Refusal = [status: number, method: 'POST' | 'PATCH' | 'DELETE', path: string, body: unknown, message: RegExp]
  const refusals: Refusal[] = [
    [400, 'POST', '', {}, /title/],
    [400, 'POST', '', { title: '' }, /title/],
    [400, 'POST', '', { title: ' \n' }, /title/],
    [400, 'POST', '', { title: 'x'.repeat(201) }, /title/],
    [400, 'POST', '', { title: 7 }, /title/],
    [400, 'POST', '', { title: 'a', status: 'done' }, /additional properties/],
    [400, 'POST', '', [{ title: 'a' }], /object/],
    [400, 'POST', '', '{"title":', /JSON/],
    [413, 'POST', '', { title: 'x'.repeat(5000) }, /large/],
    [409, 'POST', '', { title: 'one too many' }, /full \(1 tasks\)/],
    [400, 'PATCH', `/${id}`, {}, /properties/],
    [400, 'PATCH', `/${id}`, { status: 'lost' }, /status/],
    [400, 'PATCH', `/${id}`, { title: ' ' }, /title/],
    [400, 'PATCH', `/${id}`, { id: 'another' }, /additional properties/],
    [404, 'PATCH', '/nobody', { title: 'a' }, /gone/],
    [404, 'DELETE', '/nobody', undefined, /gone/]
  ]
  for (const [status, method, path, body, message] of refusals) {
    const answer = await ann.tasks<unknown>(method, path, body)
    const what = `${method} ${path} ${JSON.stringify(body)?.slice(0, 50)}`
    t.match(answer, { status, body: { statusCode: status, message } }, what)
  }
  await ann.tasks('DELETE', `/${id}`)
  const changes: Change[] = await changesOf(client, 2)
  t.strictSame(
    changes.map(({ kind }) => kind),
    ['insert', 'delete']
  )
})

t.test('a room is made on the page, and its URL lets in those who may', { skip }, async (t) => {
  const { url } = await TaskBoard.serve(t)
  const ann = await openRoom(t, browser, url, { name: 'Ann' })
  await add(ann, 'Of team-a')
  await ann.getByTestId('all-rooms').click()
  await ann.getByTestId('room-title').fill('Ann and Bob')
  await ann.getByTestId('room-only-for').fill('Bob')
  await ann.getByTestId('room-submit').click()
  await says(ann, 'room-slug', '#ann-and-bob')
  await isLive(ann)
  t.match(ann.url(), /#ann-and-bob$/)
  t.equal(await ann.getByRole('heading', { level: 1 }).textContent(), 'Ann and Bob')
  await add(ann, 'Of two')
  const bob = await openRoom(t, browser, url, { name: 'Bob', room: 'ann-and-bob' })
  await shows(t, bob, { todo: ['Of two'] }, 'a board of its own')
  await bob.goto(`${url}/#team-a`)
  await shows(t, bob, { todo: ['Of team-a'] }, 'beside the others')
  await bob.goBack()
  await shows(t, bob, { todo: ['Of two'] }, 'where the back button leads, too')

  await bob.getByTestId('logout').click()
  await bob.getByTestId('login-name').fill('Cy')
  await bob.getByTestId('login-submit').click()
  await says(bob, 'notice', 'There is no room “ann-and-bob”, or it is not for you')
  t.notMatch(bob.url(), 'ann-and-bob')
  t.strictSame(await bob.getByTestId('room').locator('.name').allTextContents(), ['Team A', 'Team B'])
})
