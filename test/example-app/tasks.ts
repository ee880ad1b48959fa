import type { Test } from 'tap'
import { type Change, changesOf, numberOf, TaskBoard } from '../kit/task-board.js'

/** Tasks and their changes, by the API and the stream. */
export function tasks(t: Test): void {
  t.test('between the snapshot and the changes after it nothing is missing', async (t) => {
    const board = await TaskBoard.serve(t)
    const ann = await board.visitor()
    const followers = []
    for (let i = 0; i < 20; i++) {
      const creating = Promise.all([ann.create(`a${i}`), ann.create(`b${i}`), ann.create(`c${i}`)])
      const follower = await ann.stream()
      followers.push({ follower, snapshot: await ann.snapshot() })
      await creating
    }
    const last = await ann.create('last')
    const { tasks } = await ann.snapshot()
    t.equal(tasks.length, 61)
    for (const { follower, snapshot } of followers) {
      const titles = snapshot.tasks.map(({ title }) => title)
      const later: Change[] = []
      while (later.at(-1)?.row_id !== last.id) later.push(...(await changesOf(follower, 1)))
      const since = later.filter(({ cursor }) => numberOf(cursor) > numberOf(snapshot.cursor))
      t.strictSame(
        [...titles, ...since.map(({ data }) => data!.title)],
        tasks.map(({ title }) => title),
        `${titles.length} rows, and each change since`
      )
    }
  })

  t.test('a client that resumes gets what it missed, and is told when it has all of it', async (t) => {
    const board = await TaskBoard.serve(t)
    const ann = await board.visitor()
    const before = await ann.stream()
    await before.until(({ event }) => event === 'caught-up')
    await before.close()
    const watching = await ann.stream()
    for (const title of ['One', 'Two', 'Three']) await ann.create(title)
    // Then the log of this process has them.
    await changesOf(watching, 3)
    const after = await ann.stream({ lastEventId: before.lastEventId })
    const told: string[] = []
    await after.until(({ event, data }) => {
      if (event === 'change') told.push(JSON.parse(data).data.title)
      return event === 'caught-up'
    })
    t.strictSame(told, ['One', 'Two', 'Three'])
    await ann.create('Four')
    t.match(await changesOf(after, 1), [{ data: { title: 'Four' } }])
  })

  t.test('a change is heard by all, just as it is answered', async (t) => {
    const board = await TaskBoard.serve(t)
    const ann = await board.visitor()
    const [own, other] = [await ann.stream(), await (await board.visitor('Bob')).stream()]
    const { body: created } = await ann.tasks('POST', '', { title: 'a' })
    const { body: changed } = await ann.tasks('PATCH', `/${created.row_id}`, { title: 'b' })
    const { body: deleted } = await ann.tasks('DELETE', `/${created.row_id}`)
    // Of one who has several tabs, the others are to hear of it, too.
    for (const stream of [own, other]) t.strictSame(await changesOf(stream, 3), [created, changed, deleted])
  })

  t.test('a change is answered with all that a copy of the board needs', async (t) => {
    const board = await TaskBoard.serve(t)
    const ann = await board.visitor()
    const { status, body: created } = await ann.tasks('POST', '', { title: '  Bake bread ' })
    t.equal(status, 201)
    const task = created.data!
    t.match(task, {
      id: /^[\w-]{36}$/,
      title: 'Bake bread',
      author: 'Ann',
      status: 'todo',
      position: 1,
      deleted_at: null,
      changed_by: 'Ann'
    })
    const path = `/${task.id}`
    const { body: moved } = await ann.tasks('PATCH', path, { status: 'done' })
    const { body: renamed } = await ann.tasks('PATCH', path, { title: 'Bake rye bread' })
    const { body: unchanged } = await ann.tasks('PATCH', path, { title: 'Bake rye bread', status: 'done' })
    const snapshot = await ann.snapshot()
    t.strictSame(snapshot.tasks, [renamed.data])
    const { body: deleted } = await ann.tasks('DELETE', path)
    const change = { entity: 'tasks', row_id: task.id }
    const done = { ...task, status: 'done', position: 2 }
    t.match(deleted.data!.deleted_at, /^\d{4}-\d\d-\d\dT/)
    t.strictSame(
      [created, moved, renamed, unchanged, deleted].map(({ cursor, ...rest }) => rest),
      [
        { ...change, kind: 'insert', data: task },
        { ...change, kind: 'update', data: done },
        { ...change, kind: 'update', data: { ...done, title: 'Bake rye bread' } },
        { ...change, kind: 'update', data: renamed.data },
        { ...change, kind: 'update', data: { ...renamed.data, deleted_at: deleted.data!.deleted_at } }
      ]
    )
    const places = [created, moved, renamed, snapshot, unchanged, deleted].map(({ cursor }) => numberOf(cursor))
    const first = places[0]!
    t.strictSame(
      places.map((place) => place - first),
      [0, 1, 2, 2, 2, 3],
      'setting what is set already is no change'
    )
    t.strictSame(await ann.snapshot(), { cursor: deleted.cursor, tasks: [], people: [] })
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
    t.match(changes, [
      { kind: 'insert', data: { deleted_at: null } },
      { kind: 'update', data: { deleted_at: /./ } }
    ])
  })

  t.test('a deleted task comes back as it was, or under another title, as long as it is remembered', async (t) => {
    const board = await TaskBoard.serve(t, { maxTasks: 2 })
    const ann = await board.visitor()
    const client = await ann.stream()
    const [first, second] = [await ann.create('First'), await ann.create('Second')]
    await ann.tasks('PATCH', `/${first.id}`, { status: 'done' })
    for (const { id } of [first, second]) await ann.tasks('DELETE', `/${id}`)
    const { body: restored } = await ann.tasks('POST', `/${first.id}/restore`, {})
    t.match(restored, { kind: 'update', data: { ...first, status: 'done', position: 3, deleted_at: null } })
    t.match(await ann.tasks('POST', `/${second.id}/restore`, { title: 'Third' }), {
      status: 200,
      body: { data: { ...second, title: 'Third' } }
    })
    t.strictSame((await changesOf(client, 7)).slice(5, 6), [restored], 'everybody hears of it')
    await ann.tasks('DELETE', `/${first.id}`)
    await ann.create('In its place')
    const full = { status: 409, body: { code: 'BOARD_FULL' } }
    t.match(await ann.tasks('POST', `/${first.id}/restore`, {}), full)
    t.match(await ann.tasks('POST', '/nobody/restore', {}), { status: 409 }, 'a full board says so first')
    await ann.tasks('DELETE', `/${second.id}`)
    t.match(await ann.tasks('POST', '/nobody/restore', {}), { status: 404, body: { code: 'NO_SUCH_TASK' } })
  })

  t.test('a title that somebody else has changed meanwhile is not overwritten unawares', async (t) => {
    const board = await TaskBoard.serve(t)
    const [ann, bob] = [await board.visitor(), await board.visitor('Bob')]
    const { id } = await ann.create('Bread')
    await bob.tasks('PATCH', `/${id}`, { title: 'Rye bread', was: 'Bread' })
    t.match(await ann.tasks<unknown>('PATCH', `/${id}`, { title: 'White bread', was: 'Bread' }), {
      status: 409,
      body: { code: 'TITLE_CHANGED', message: 'Bob changed the title to “Rye bread” meanwhile' }
    })
    t.match(await ann.tasks('PATCH', `/${id}`, { title: 'Rye bread', was: 'Bread' }), { status: 200 }, 'to the same')
    t.match(
      await ann.tasks('PATCH', `/${id}`, { title: 'White bread', was: 'Rye bread' }),
      { status: 200 },
      'knowing it'
    )
  })

  t.test('a task that is sent twice, since its answer was lost, is created once', async (t) => {
    const board = await TaskBoard.serve(t, { maxTasks: 1 })
    const ann = await board.visitor()
    const task = { id: '0b9f1c56-6e0c-4d35-9f0c-2f3a1d0e4b7a', title: 'Once' }
    const { body: created } = await ann.tasks('POST', '', task)
    t.match(created, { kind: 'insert', data: task })
    const again = { status: 201, body: created }
    t.match(await ann.tasks('POST', '', task), again)
    const { body: deleted } = await ann.tasks('DELETE', `/${task.id}`)
    t.match(await ann.tasks('POST', '', task), { status: 201, body: deleted }, 'or says it is gone')
    const elsewhere = await (await board.visitor('Bob', 'team-b')).tasks<unknown>('POST', '', task)
    t.match(elsewhere, { status: 409, body: { code: 'ID_TAKEN' } }, 'and no other room has it')
  })
}
