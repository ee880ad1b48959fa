import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listen } from 'pylon-sse/testing'
import { build } from './app.js'

test('who watches a list hears of its new todos, and of no others', async (t) => {
  const app = build()
  t.after(() => app.close())
  const events = await listen(app, '/events', { topics: ['todos.home'] })
  await app.inject({ method: 'POST', url: '/lists/work', payload: { title: 'Write' } })
  await app.inject({ method: 'POST', url: '/lists/home', payload: { title: 'Cook' } })
  const { data } = await events.next('todo.created')
  assert.deepEqual(data, { list: 'home', title: 'Cook' })
  await events.none(50)
})
