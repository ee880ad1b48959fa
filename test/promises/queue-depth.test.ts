import type { Socket } from 'node:net'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { SseClient } from '../../lib/index.js'
import {
  accountFor,
  broadcastNumbers,
  broadcastPaced,
  numberedText,
  numberOf,
  readUpTo,
  resyncOf
} from '../kit/numbered.js'
import { type ServeOptions, serve } from '../kit/server.js'
import { BIG, stuckClient } from '../kit/slow-reader.js'
import { departures } from '../kit/stuck-clients.js'

const KIB = 1024

const depths: [events: number, loses: boolean][] = [
  [10, false],
  [11, true]
]
for (const [events, loses] of depths) {
  const outcome = loses ? 'loses its oldest' : 'loses nothing, however large the burst it was reading'
  t.test(`a stuck client that falls ${events} events behind with a queueDepth of 10 ${outcome}`, async (t) => {
    const served = await serve(t, { transport: 'unix', sse: { queueDepth: 10, shards: 1 } })
    const reader = await served.connect()
    const slow = await stuckClient(served)
    broadcastNumbers(served.app, 1, 100, BIG)
    await readUpTo(reader, 100)
    await broadcastPaced(served.app, reader, 101, 100 + events)
    t.equal(served.app.sse.stats().dropped > 0, loses)
    slow.resume()
    await readUpTo(slow, 100 + events)
    t.match(accountFor(slow.events), { last: 100 + events, resyncs: loses ? [{ reason: 'overflow' }] : [] })
    await slow.close()
  })
}

t.test('queueDepth also counts for a client that has no room left for a keepalive', async (t) => {
  const sockets: Socket[] = []
  const setup: ServeOptions['setup'] = (app) => app.server.on('connection', (socket) => sockets.push(socket))
  const sse = { queueDepth: 10, shards: 1, keepAliveInterval: 10 }
  const served = await serve(t, { transport: 'unix', setup, sse })
  const { app } = served
  const slow = await stuckClient(served)
  const [socket] = sockets
  let n = 0
  const room = () => socket!.writableHighWaterMark - socket!.writableLength - 100
  while (room() > 0) {
    broadcastNumbers(app, ++n, n, Math.min(room(), KIB))
    await turn()
  }
  // What is left takes but a few keepalives, and need not be given to them.
  for (let i = 0; i < 30 && !socket!.writableNeedDrain; i++) await delay(10)
  const reader = await served.connect()
  await broadcastPaced(app, reader, n + 1, n + 30)
  t.equal(app.sse.stats().slowestLag, 10)
  slow.resume()
  await readUpTo(slow, n + 30)
  t.match(accountFor(slow.events), { last: n + 30, missed: app.sse.stats().dropped })
})

t.test('a client that gets stuck again gets another resync, for what it has missed since', async (t) => {
  const served = await serve(t, { transport: 'unix', sse: { queueDepth: 5 } })
  const reader = await served.connect()
  const slow = await stuckClient(served)
  let last = 0
  for (let round = 1; round <= 3; round++) {
    broadcastNumbers(served.app, last + 1, last + 25, BIG)
    await readUpTo(reader, last + 25)
    await broadcastPaced(served.app, reader, last + 26, last + 35)
    last += 35
    slow.resume()
    await readUpTo(slow, last)
    t.match(accountFor(slow.events), { last, resyncs: new Array(round).fill({ reason: 'overflow' }) })
    slow.pause()
  }
})

for (const [bound, sse] of Object.entries({
  queueDepth: { queueDepth: 10 },
  'the bytes of the log': { history: { bytes: 5 * BIG } }
})) {
  t.test(`a stuck client past ${bound} has missed no event that left it out by except`, async (t) => {
    const served = await serve(t, { transport: 'unix', sse })
    const { app } = served
    const slow = await stuckClient(served)
    const [{ id }] = [...app.sse.clients] as [SseClient]
    const reader = await served.connect()
    const all = Array.from({ length: 80 }, (_, i) => i + 1)
    const isOwn = (n: number) => n % 3 === 0
    for (const n of all) {
      app.sse.broadcastMessage(numberedText(n, BIG), isOwn(n) ? { except: id } : {})
      if (n % 2 === 0) await readUpTo(reader, n)
    }
    const entitled = all.filter((n) => !isOwn(n))
    slow.resume()
    await readUpTo(slow, entitled.at(-1)!)
    const given = slow.events.map(numberOf).filter((n) => !Number.isNaN(n))
    const missed = slow.events.map((event) => resyncOf(event)?.missed ?? 0).reduce((sum, n) => sum + n)
    t.ok(given.every((n) => !isOwn(n)))
    t.ok(missed > 0)
    t.equal(given.length + missed, entitled.length)
    t.equal(app.sse.stats().dropped, missed)
  })
}

t.test(
  "with overflow 'disconnect' a client past queueDepth is cut, and resumes from the last event it has",
  async (t) => {
    const { onDisconnect, left } = departures()
    const sse = { queueDepth: 10, overflow: 'disconnect', shards: 1, onDisconnect } as const
    const served = await serve(t, { transport: 'unix', sse })
    const { app } = served
    const reader = await served.connect()
    const slow = await stuckClient(served)
    broadcastNumbers(app, 1, 25, BIG)
    await readUpTo(reader, 25)
    await broadcastPaced(app, reader, 26, 35)
    t.equal(app.sse.clientCount, 2, 'not before it is past queueDepth')
    await broadcastPaced(app, reader, 36, 36)
    t.equal((await left())[1], 'overflow')
    t.equal(app.sse.clientCount, 1)

    slow.resume()
    await slow.waitForClose()
    const { last, resyncs } = accountFor(slow.events)
    t.ok(last >= 1 && last < 25, `it has events 1 to ${last}`)
    t.strictSame(resyncs, [])
    t.notOk(slow.ended, 'no proper end')
    const again = await served.connect({ lastEventId: slow.lastEventId })
    await readUpTo(again, 36)
    t.strictSame(accountFor(again.events, last), { last: 36, missed: 0, resyncs: [] })
    t.strictSame(accountFor(reader.events), { last: 36, missed: 0, resyncs: [] })
  }
)
