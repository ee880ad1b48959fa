import { listen } from 'pylon-sse/testing'
import t from 'tap'
import { build } from './app.js'

t.test('nobody hears of a topic that is not open to all', async (t) => {
  const app = build()
  t.teardown(() => app.close())
  const { response } = await listen(app, '/events', { topics: ['salaries'] })
  t.equal(response.status, 403)
  t.match(await response.json(), { code: 'PYLON_SSE_ERR_TOPIC_FORBIDDEN' })
})
