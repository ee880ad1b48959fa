import t from 'tap'
import { compileExamples } from '../kit/compile.js'
import { startExamples } from '../kit/example.js'

t.test(
  'typed-events/, several-hubs/ and nestjs/ compile, and what they say is heard',
  { timeout: 110_000 },
  async (t) => {
    const folder = t.testdir()
    t.strictSame(compileExamples(folder, 'typed-events', 'several-hubs', 'nestjs'), [])
    const ADMIN_TOKEN = 'a token of the test'
    const { examples, program } = await startExamples(
      t,
      [`${folder}/typed-events/server.js`],
      [`${folder}/several-hubs/server.js`, { ADMIN_TOKEN }],
      [`${folder}/nestjs/main.js`]
    )
    const [typed, hubs, nest] = examples

    const todos = await typed!.listen()
    await typed!.call('POST', '/todos', { title: 'Write' })
    t.strictSame((await todos.next('todo.created')).data, { id: 1, title: 'Write' })
    t.equal((await todos.next('message')).data, 'anything')

    t.equal((await hubs!.listen('/admin/events')).response.status, 401)
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    const admin = await hubs!.listen('/admin/events', { headers })
    const public_ = await hubs!.listen()
    await hubs!.call('POST', '/say', { hello: 'everyone' })
    t.strictSame((await public_.next('message')).data, { hello: 'everyone' })
    t.strictSame((await admin.next('message')).data, { said: { hello: 'everyone' }, by: '127.0.0.1' })

    const chat = await nest!.listen()
    t.strictSame(await nest!.json('POST', '/say', { text: 'hello' }), { clients: 1 })
    t.strictSame((await chat.next('message')).data, { text: 'hello' })

    t.equal(await program.stop(), 0)
    for (const reader of [todos, admin, chat]) await reader.end()
  }
)
