import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { DisconnectReason, SseClient } from '../../lib/index.js'
import { gate } from '../kit/deferred.js'
import { accountFor, broadcastNumbers, readUpTo } from '../kit/numbered.js'
import { serve } from '../kit/server.js'
import { FILL, stuckClient } from '../kit/slow-reader.js'

const KIB = 1024

t.test('7. Closing ends: every stream, and the server, whatever the clients are doing', async (t) => {
  // Those of other tests are of another kind.
  const resources = () => process.getActiveResourcesInfo().filter((kind) => kind.startsWith('Pipe'))
  const before = resources()
  const holds = { preHandler: gate(), onConnect: gate() }
  const left: [SseClient, DisconnectReason][] = []
  const hold = async ({ headers }: { headers: Record<string, unknown> }, at: keyof typeof holds) => {
    if (headers['x-wait'] === at) await holds[at].pass()
  }
  const served = await serve(t, {
    transport: 'unix',
    sse: {
      retry: 1000,
      route: { preHandler: (request) => hold(request, 'preHandler') },
      onConnect: (_client, request) => hold(request, 'onConnect'),
      onDisconnect: (...departure) => void left.push(departure)
    }
  })
  const { app } = served
  const slow = await Promise.all([stuckClient(served), stuckClient(served)])
  const readers = await Promise.all(Array.from({ length: 30 }, () => served.connect()))
  const greeted = await served.connect({ headers: { 'x-wait': 'onConnect' } })
  const early = await served.connect({ headers: { 'x-wait': 'preHandler' }, waitForHead: false })
  const idle = await served.connect({ path: '/nothing' })
  await Promise.all([holds.onConnect.reached, holds.preHandler.reached])
  broadcastNumbers(app, 1, FILL, 64 * KIB)
  await Promise.all(readers.map((reader) => readUpTo(reader, FILL)))

  const closing = app.close()
  await readers[0]!.waitForEnd()
  app.sse.broadcast('nobody is told')
  holds.preHandler.open()
  await early.head()
  await early.waitForEnd()
  t.match(early.body, /^retry: \d+\n+$/, 'who comes now is told to come back')
  await closing
  for (const client of [...readers, greeted]) {
    await client.waitForEnd()
    t.ok(client.retries.at(-1)! >= 1000 && client.retries.at(-1)! <= 2000, 'told when to come back')
  }
  for (const reader of readers) t.equal(accountFor(reader.events).last, FILL)
  t.ok(new Set(readers.map(({ retries }) => retries.at(-1))).size > 20, 'not all at once')
  for (const client of slow) client.resume()
  await Promise.all([...slow, ...readers, greeted, early, idle].map((client) => client.waitForClose()))
  t.strictSame(
    left.map(([, reason]) => reason),
    new Array(33).fill('shutdown')
  )
  holds.onConnect.open()
  await turn()
  t.strictSame(resources(), before, 'nothing is left')
})
