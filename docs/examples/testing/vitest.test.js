import { listen } from 'pylon-sse/testing'
import { expect, onTestFinished, test } from 'vitest'
import { build } from './app.js'

test('who comes back gets what it has missed', async () => {
  const app = build()
  onTestFinished(() => app.close())
  const events = await listen(app, '/events', { topics: ['todos.home'] })
  await events.cut()
  await app.inject({ method: 'POST', url: '/lists/home', payload: { title: 'Cook' } })
  await events.resume()
  expect(await events.next()).toMatchObject({ event: 'todo.created', data: { title: 'Cook' } })
})
