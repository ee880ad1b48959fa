import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { Connections } from '../kit/connections.js'
import { broadcastNumbers } from '../kit/numbered.js'
import { serve } from '../kit/server.js'
import { stuckClient } from '../kit/slow-reader.js'

const KIB = 1024

t.test('4. Bounded: neither slow clients nor long histories hold more than they may', async (t) => {
  let connections!: Connections
  const setup = (app: FastifyInstance) => {
    connections = new Connections(app)
  }
  const sse = { history: { events: 100, bytes: 200 * KIB } }
  const served = await serve(t, { transport: 'unix', setup, sse })
  const cursor = await (await served.connect()).waitForId()
  const slow = await Promise.all(Array.from({ length: 10 }, () => stuckClient(served)))
  let most = 0
  for (let n = 1; n <= 1000; n++) {
    broadcastNumbers(served.app, n, n, n % 100 === 0 ? 100 * KIB : 4 * KIB)
    for (const client of served.app.sse.clients) client.send(n)
    await turn()
    for (const { writableLength } of connections.sockets) most = Math.max(most, writableLength)
  }
  t.ok(most > 0, 'they are stuck')
  t.ok(most < 64 * KIB + 101 * KIB, `${most} bytes wait for a client: a chunk and an event at most`)
  const late = await served.connect({ lastEventId: cursor })
  const resumed = await served.connect({ lastEventId: cursor.replace(/0$/, '900') })
  served.app.sse.broadcast('last')
  for (const client of [late, resumed]) {
    await client.until(({ data }) => data === '"last"')
    t.equal(client.events[0]?.event, 'resync')
    t.ok(Buffer.byteLength(client.body) < 201 * KIB)
  }
  await Promise.all(slow.map((client) => client.abort()))
})
