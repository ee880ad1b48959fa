import type { Test } from 'tap'
import { type Change, changesOf, snapshotOf, TaskBoard } from '../kit/task-board.js'

/** Tasks and their changes, by the API and the stream. */
export function tasks(t: Test): void {
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

  t.test('a deleted task comes back as it was, or under another title, as long as it is remembered', async (t) => {
    const board = await TaskBoard.serve(t, { maxTasks: 2 })
    const ann = await board.visitor()
    const client = await ann.stream()
    const [first, second] = [await ann.create('First'), await ann.create('Second')]
    await ann.tasks('PATCH', `/${first.id}`, { status: 'done' })
    for (const { id } of [first, second]) await ann.tasks('DELETE', `/${id}`)
    const { body: restored } = await ann.tasks('POST', `/${first.id}/restore`, {})
    t.match(restored, { kind: 'insert', data: { ...first, status: 'done', position: 3 } })
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
    t.match(created, { seq: 1, kind: 'insert', data: task })
    t.match(await ann.tasks('POST', '', task), { status: 201, body: { seq: 1, kind: 'insert', data: task } })
    await ann.tasks('DELETE', `/${task.id}`)
    t.match(await ann.tasks('POST', '', task), { status: 201, body: { seq: 2, kind: 'delete' } }, 'or says it is gone')
  })
}
