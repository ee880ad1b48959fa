import type { Test } from 'tap'
import { changesOf, TaskBoard, type Visitor } from '../kit/task-board.js'

/** Rooms, and who may see them, by the API and the stream. */
export function rooms(t: Test): void {
  t.test('what is done in a room is heard in this room alone', async (t) => {
    const board = await TaskBoard.serve(t)
    const [inA, inB] = [await board.visitor('Ann', 'team-a'), await board.visitor('Bob', 'team-b')]
    const [a, b] = [await inA.stream(), await inB.stream()]
    await inA.create('Of A')
    await inB.create('Of B')
    t.match(await changesOf(b, 1), [{ kind: 'insert', data: { title: 'Of B' } }])
    t.match(await changesOf(a, 1), [{ kind: 'insert', data: { title: 'Of A' } }])
    await b.close()
    await inA.create('Of A, too')
    const resumed = await inB.stream({ lastEventId: b.lastEventId })
    await inB.create('Of B, too')
    t.match(await changesOf(resumed, 1), [{ data: { title: 'Of B, too' } }], 'nor after a reconnection')
    t.notMatch(resumed.body, 'Of A')
    t.match(await inB.snapshot(), {
      people: ['Bob'],
      tasks: [{ title: 'Of B' }, { title: 'Of B, too' }]
    })
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
    t.match(await cy.call('GET', '/api/rooms/secret'), NO_ROOM)
    t.match(await cy.tasks('POST', '', { title: 'x' }), NO_ROOM)
    t.match(await cy.tasks('PATCH', '/x', { title: 'x' }), NO_ROOM)
    t.match(await cy.tasks('DELETE', '/x'), NO_ROOM)
    t.match(await cy.call('GET', '/api/rooms/none'), NO_ROOM, 'as if there were none')
    const names = async (visitor: Visitor) =>
      (await visitor.call<{ rooms: { name: string }[] }>('GET', '/api/me')).body.rooms.map(({ name }) => name)
    t.strictSame(await names(cy), ['team-a', 'team-b'], 'and it is not listed')

    t.strictSame(await names(bob), ['team-a', 'team-b', 'secret'])
    t.match(await bob.snapshot(), { tasks: [{ title: 'Hidden' }] }, 'in whatever case they write their name')
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
      const message =
        /^A room's name takes up to 32 visible characters, and at least one of them is a letter or a digit/
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
      t.match(await visitor.snapshot(), { tasks: [{ title: 'Inside' }] }, name)
      t.equal((await visitor.stream({ query: { topic: `room.${name}` } })).status, 200, name)
    }
    for (const title of ['team A', 'Team-a!', 'CAFÉ KÜCHE']) {
      t.match(await create({ title }), { status: 409, body: { code: 'ROOM_TAKEN' } }, title)
    }
    await create({ title: 'new' })
    await create({ title: 'newer' })
    t.match(await create({ title: 'newest' }), { status: 409, body: { code: 'TOO_MANY_ROOMS' } })
  })

  t.test('the lobby tells of new rooms at once, and of an invitation those alone who are invited', async (t) => {
    const board = await TaskBoard.serve(t)
    const [ann, bob, cy] = [await board.visitor(), await board.visitor('Bob'), await board.visitor('Cy')]
    const lobby = { query: { topic: 'lobby' } }
    const [bobs, cys] = [await bob.stream(lobby), await cy.stream(lobby)]
    const me = { name: 'Bob', rooms: [{ name: 'team-a', title: 'Team A' }, { name: 'team-b' }] }
    t.match((await bob.call('GET', '/api/me')).body, me, 'those there are')
    for (const stream of [bobs, cys]) await stream.until(({ event }) => event === 'caught-up')
    await ann.call('POST', '/api/rooms', { title: 'For Bob', members: ['bob'] })
    await ann.call('POST', '/api/rooms', { title: 'For all' })
    const next = async (client: typeof bobs) => JSON.parse((await client.until(({ event }) => event === 'room')).data)
    const invitation = { name: 'for-bob', title: 'For Bob', members: ['Ann', 'bob'], creator: 'Ann' }
    t.strictSame(await next(bobs), invitation)
    t.strictSame(await next(bobs), { name: 'for-all', title: 'For all', creator: 'Ann' })
    t.match(await next(cys), { name: 'for-all' })
    t.notMatch(cys.body, 'for-bob')
  })
}
