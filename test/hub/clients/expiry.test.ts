import t from 'tap'
import type { DisconnectReason, SseClient } from '../../../lib/index.js'
import { Browser } from '../../kit/browser.js'
import { deferred } from '../../kit/deferred.js'
import { serve } from '../../kit/server.js'
import { Arrivals, heard } from '../../kit/topics.js'

t.test("a stream ends at expiresAt, and whether the client may reconnect is up to the app's hooks", async (t) => {
  let valid = true
  let client!: SseClient
  const reason = deferred<DisconnectReason>()
  const served = await serve(t, {
    sse: {
      retry: 10,
      route: {
        onRequest: async (_request, reply) => {
          if (!valid) return reply.code(401).send()
        }
      },
      onConnect: (connected) => {
        client = connected
      },
      onDisconnect: (_client, why) => reason.resolve(why)
    }
  })
  const browser = new Browser(t, `${served.url}/events`)
  await browser.waitForAnswers(1)
  served.app.sse.broadcastMessage('before')
  // Only now: however slow the machine, it has not expired before the event.
  valid = false
  client.expiresAt = new Date(Date.now() + 100)
  t.equal(await reason.promise, 'expired')
  await browser.waitForClosed()
  t.strictSame(browser.statuses, [200, 401])
  t.strictSame(browser.data, ['before'])
  t.match(served.app.sse.stats(), { disconnects: { expired: 1 } })
})

t.test('expiresAt can be postponed or removed; a date in the past ends the stream at once', async (t) => {
  const arrivals = new Arrivals()
  const served = await serve(t, { sse: { onConnect: arrivals.onConnect } })
  const readers = [await served.connect(), await served.connect(), await served.connect(), await served.connect()]
  const [putOff, takenBack, late, past] = arrivals.all
  const soon = () => new Date(Date.now() + 50)
  t.equal(late!.expiresAt, undefined)
  putOff!.expiresAt = soon()
  takenBack!.expiresAt = soon()
  const far = new Date(Date.now() + 1000 * 60 * 60 * 24 * 60)
  putOff!.expiresAt = far
  takenBack!.expiresAt = undefined
  t.equal(putOff!.expiresAt, far, 'further off than timers reach')
  late!.expiresAt = soon()
  past!.expiresAt = new Date(0)
  t.ok(past!.closed)
  await readers[3]!.waitForEnd()
  await readers[2]!.waitForEnd()
  served.app.sse.broadcastMessage('still here')
  t.equal((await readers[0]!.next()).data, 'still here')
  t.equal((await readers[1]!.next()).data, 'still here')
})

for (const value of [new Date(Number.NaN), 'tomorrow', Date.now() + 1000, null]) {
  t.test(`an expiry of ${typeof value} ${String(value).slice(0, 12)} is refused, and changes nothing`, async (t) => {
    const arrivals = new Arrivals()
    const served = await serve(t, { sse: { onConnect: arrivals.onConnect } })
    const reader = await served.connect()
    const client = arrivals.last
    const expiresAt = new Date(Date.now() + 3_600_000)
    client.expiresAt = expiresAt
    t.throws(
      () => {
        client.expiresAt = value as Date
      },
      { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: /client\.expiresAt/ }
    )
    t.equal(client.expiresAt, expiresAt)
    t.strictSame(await heard(served, reader), [[]])
  })
}
