import t from 'tap'
import { accountFor, broadcastNumbers, broadcastPaced, readUpTo } from '../kit/numbered.js'
import { serve } from '../kit/server.js'
import { FILL, stuckClient } from '../kit/slow-reader.js'
import { talkative } from '../kit/talkative.js'

const KIB = 1024

t.test('3. No silent gap: what a client does not get, it is told of in its place', async (t) => {
  const sse = { history: { events: 30 }, queueDepth: 30 }
  const served = await serve(t, { transport: 'unix', setup: talkative, sse })
  const { app } = served
  const reader = await served.connect()
  const gone = await served.connect()
  const slow = await stuckClient(served)
  const slower = await stuckClient(served)
  await gone.waitForId()
  await gone.abort()

  broadcastNumbers(app, 1, FILL, 64 * KIB)
  await readUpTo(reader, FILL)
  await broadcastPaced(app, reader, FILL + 1, 100)
  slow.resume()
  await readUpTo(slow, 100)
  const returned = await served.connect({ lastEventId: gone.lastEventId })
  const stranger = await served.connect({ lastEventId: 'of another server' })
  await broadcastPaced(app, reader, 101, 150)
  slower.resume()

  for (const client of [slow, slower, returned, stranger]) await readUpTo(client, 150)
  t.strictSame(accountFor(reader.events), { last: 150, missed: 0, resyncs: [] })
  for (const client of [slow, slower]) {
    const { last, resyncs } = accountFor(client.events)
    t.equal(last, 150)
    t.match(resyncs, [{ reason: 'overflow' }])
  }
  t.strictSame(accountFor(returned.events), {
    last: 150,
    missed: 100,
    resyncs: [{ reason: 'expired', missed: 100 }]
  })
  t.match(stranger.events[0], { event: 'resync', data: '{"reason":"unknown","missed":null}' })
  t.strictSame(accountFor(stranger.events.slice(1), 100), { last: 150, missed: 0, resyncs: [] })
})
