import t from 'tap'
import { bodyOf } from '../kit/answers.js'
import { gate } from '../kit/deferred.js'
import { ask, pageOf, serveNumbers } from '../kit/page-requests.js'
import { serve } from '../kit/server.js'

t.test('without a limit a page has up to 100 events, and it may have 1,000', async (t) => {
  const { served } = await serveNumbers(t, 1005)
  t.match(await pageOf(served), { events: { length: 100 }, hasMore: true })
  t.match(await pageOf(served, { limit: 1000 }), { events: { length: 1000 }, hasMore: true })
})

t.test('a page ends after 1 MiB of events, so that an unread page takes no more memory', async (t) => {
  const served = await serve(t)
  for (let n = 0; n < 3; n++) served.app.sse.broadcastMessage(`${n}${'x'.repeat(600_000)}`)
  served.app.sse.broadcastMessage('small')
  const first = await pageOf(served)
  t.strictSame([first.events.length, first.hasMore], [1, true], 'two are larger')
  const rest = await pageOf(served, { since: first.cursor })
  t.strictSame([rest.events.length, rest.hasMore], [1, true])
  const last = await pageOf(served, { since: rest.cursor })
  t.strictSame(
    last.events.map(({ data }) => String(data).slice(0, 5)),
    ['2xxxx', 'small']
  )
  t.equal(last.hasMore, false)
})

t.test('an event larger than a MiB is a page of its own', async (t) => {
  const served = await serve(t, { sse: { maxEventBytes: 4_000_000 } })
  for (let n = 0; n < 2; n++) served.app.sse.broadcastMessage(`${n}${'x'.repeat(2_000_000)}`)
  const page = await pageOf(served)
  t.strictSame([page.events.length, page.hasMore], [1, true])
})

t.test('a page holds its slot until it has been sent', async (t) => {
  const held = gate()
  const served = await serve(t, {
    sse: { maxClientsPerIp: 1, overLimit: 'status' },
    setup: (app) => {
      app.addHook('onSend', async ({ url }) => {
        if (url.includes('slow')) await held.pass()
      })
    }
  })
  const slow = await ask(served, { slow: '' }, false)
  await held.reached
  t.equal((await ask(served)).status, 429)
  held.open()
  await bodyOf(slow)
  t.equal((await ask(served)).status, 200)
})
