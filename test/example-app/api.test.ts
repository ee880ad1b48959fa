import t from 'tap'
import { TaskBoard } from '../kit/task-board.js'
import { latest } from './latest.js'
import { login } from './login.js'
import { rooms } from './rooms.js'
import { tasks } from './tasks.js'

/* One process for all of them: each would take longer to start than to run. */

// More than a quiet machine needs, since all of them are one test of this run.
t.setTimeout(600_000)

login(t)
rooms(t)
tasks(t)
latest(t)

t.test('the page may not load anything from other origins, nor run inline scripts', async (t) => {
  const { app } = await TaskBoard.serve(t)
  const { statusCode, headers } = await app.inject('/')
  t.equal(statusCode, 200)
  t.match(headers['content-type'], /^text\/html/)
  t.match(headers['content-security-policy'], /^default-src 'self'(?!.*unsafe)/)
})
