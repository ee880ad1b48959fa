import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { SseEvent } from '../kit/event-reader.js'
import { accountFor, numberedText, numberOf, readUpTo } from '../kit/numbered.js'
import { serve } from '../kit/server.js'
import { talkative } from '../kit/talkative.js'

t.test('2. Once: no client sees an event twice, however often it is cut off and comes back', async (t) => {
  const served = await serve(t, { setup: talkative })
  const LAST = 400
  const wander = async (stay: number): Promise<SseEvent[]> => {
    const seen: SseEvent[] = []
    let lastEventId = ''
    while (numberOf(seen.at(-1) ?? { id: '', event: '', data: '0' }) < LAST) {
      const client = await served.connect({ lastEventId })
      await client.waitForId()
      if (seen.length + stay < LAST) await client.take(stay)
      else await readUpTo(client, LAST)
      await client.abort()
      seen.push(...client.events)
      lastEventId = client.lastEventId
    }
    return seen
  }
  const cursor = await served.connect()
  await cursor.waitForId()
  const wandering = Promise.all([1, 3, 10].map(wander))
  while (served.app.sse.clientCount < 4) await turn()
  for (let n = 1; n <= LAST; n++) {
    served.app.sse.broadcastMessage(numberedText(n), n % 7 === 0 ? { id: `own ${n}` } : {})
    await turn()
  }
  for (const seen of await wandering) {
    t.equal(new Set(seen.map(({ id }) => id)).size, seen.length)
    const first = numberOf(seen[0]!)
    t.strictSame(accountFor(seen, first - 1), { last: LAST, missed: 0, resyncs: [] }, 'nor does it miss one')
  }
})
