import t from 'tap'
import { serve } from '../kit/server.js'
import { placeOf, say, talkative } from '../kit/talkative.js'

t.test('1. Order: every client sees events in log order', async (t) => {
  const served = await serve(t, { setup: talkative })
  const [reader, faltering] = [await served.connect(), await served.connect()]
  const told: [id: string, speaker: number, n: number][] = []
  const speak = async (speaker: number) => {
    for (let n = 0; n < 40; n++) told.push([await say(served, { speaker, n }), speaker, n])
  }
  const speaking = Promise.all([speak(1), speak(2), speak(3)])
  const first = await reader.next()
  faltering.pause()
  const resumed = await served.connect({ lastEventId: first.id! })
  await reader.take(30)
  const late = await served.connect()
  faltering.resume()
  await speaking
  const last = await served.app.sse.publish('last')
  for (const client of [reader, faltering, resumed, late]) await client.until(({ id }) => id === last)

  told.sort(([a], [b]) => placeOf(a) - placeOf(b))
  const log = told.map(([id, speaker, n]) => ({ id, event: undefined, data: JSON.stringify({ speaker, n }) }))
  log.push({ id: last, event: undefined, data: '"last"' })
  t.strictSame(
    log.map(({ id }) => placeOf(id)),
    Array.from(log, (_, i) => i + 1),
    'ids are places in the log'
  )
  t.strictSame(reader.events, log)
  t.strictSame(faltering.events, log)
  t.strictSame(resumed.events, log.slice(placeOf(first.id)))
  t.strictSame(late.events, log.slice(placeOf(late.ids[0])))
})
