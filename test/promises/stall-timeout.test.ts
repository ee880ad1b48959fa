import type { ServerResponse } from 'node:http'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import t from 'tap'
import { stopClock } from '../kit/clock.js'
import { accountFor, broadcastNumbers, broadcastPaced, readUpTo } from '../kit/numbered.js'
import { serve } from '../kit/server.js'
import { BIG, stuckClient } from '../kit/slow-reader.js'
import { departures, stuck } from '../kit/stuck-clients.js'
import { visiting } from '../kit/waiting.js'

const KIB = 1024

t.test('a client that takes nothing for stallTimeout is cut, and no other', async (t) => {
  const clock = stopClock(t)
  const { onDisconnect, left } = departures()
  const served = await serve(t, { transport: 'unix', sse: { stallTimeout: 200, onDisconnect } })
  const reader = await served.connect()
  const slow = await stuckClient(served)
  broadcastNumbers(served.app, 1, 25, BIG)
  await readUpTo(reader, 25)
  // That it takes no more is seen at the next visit.
  await visiting(t, 4)
  clock.advance(199)
  await visiting(t, 4)
  t.equal(served.app.sse.clientCount, 2, 'not before')
  clock.advance(1)
  const [client, reason] = await left()
  t.equal(reason, 'stalled')
  t.strictSame([...served.app.sse.clients].includes(client), false)
  slow.resume()
  await slow.waitForClose()
  t.strictSame(accountFor(slow.events).resyncs, [])
  await broadcastPaced(served.app, reader, 26, 26)
  t.equal(served.app.sse.clientCount, 1)
})

for (const transport of ['unix', 'h2c'] as const) {
  t.test(
    `a client that takes nothing for stallTimeout is cut, however little that is, over ${transport}`,
    async (t) => {
      const { onDisconnect, left } = departures()
      let response!: ServerResponse
      const onRequest = async (_request: FastifyRequest, reply: FastifyReply) => {
        response = reply.raw
      }
      // Keepalives, which it does not take either, do not hide it.
      const sse = { stallTimeout: 300, keepAliveInterval: 40, onDisconnect, route: { onRequest } }
      const served = await serve(t, { transport, sse })
      await stuck(served, transport)
      // HTTP/2 takes a while over what fits into the client's window, of 64 KiB, and leaves the rest.
      const fits = transport === 'h2c' ? 60 : 0
      // On a slow machine it may have been cut by then.
      const isThere = () => served.app.sse.clientCount > 0
      for (let n = 1; isThere() && (n <= fits || response.writableLength < 4 * KIB); n++) {
        broadcastNumbers(served.app, n, n, KIB)
        do await turn()
        while (isThere() && n <= fits && response.writableLength > 0)
      }
      t.equal((await left())[1], 'stalled')
    }
  )
}

t.test('a client that takes an event slowly, but all the time, is not cut', async (t) => {
  const clock = stopClock(t)
  const stallTimeout = 500
  const maxEventBytes = 32 * KIB ** 2
  const served = await serve(t, { transport: 'unix', sse: { stallTimeout, maxEventBytes } })
  const slow = await served.connect()
  served.app.sse.broadcastMessage(`${'x'.repeat(999)}\n`.repeat(24 * KIB))
  const since = performance.now()
  while (slow.events.length === 0 && !slow.isClosed) {
    const { length } = slow.body
    slow.resume()
    while (slow.body.length === length && !slow.isClosed) await turn()
    slow.pause()
    clock.advance(20)
    // Visits to the client come in between.
    await delay(12)
  }
  t.notOk(slow.isClosed, 'read it all')
  t.ok(performance.now() - since > stallTimeout, 'it was slow')
  slow.resume()
})
