import t from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { requireBinary } from '../kit/binary.js'
import { accountFor, broadcastNumbers, broadcastPaced, numberOf, readUpTo, resyncOf } from '../kit/numbered.js'
import { range } from '../kit/processes.js'
import { type Served, type ServeOptions, serve } from '../kit/server.js'
import { BIG, KERNEL_HOLDS, stuckClient } from '../kit/slow-reader.js'
import { isHttp2, stuck, type Transport } from '../kit/stuck-clients.js'

const KIB = 1024

/** So many events of 64 KiB make a client stuck that does not read. */
const FILL = { http: KERNEL_HOLDS.tcp / BIG, unix: KERNEL_HOLDS.unix / BIG, http2: KERNEL_HOLDS.http2 / BIG }
const transports: Transport[] = ['http', 'https', 'http2', 'h2c', 'unix']

function reading(served: Served, transport: Transport) {
  return isHttp2(transport) ? served.connectH2() : served.connect()
}

for (const transport of transports) {
  const needsCertificate = transport === 'https' || transport === 'http2'

  t.test(
    `a loop that broadcasts 5,000 events in one tick loses nothing for clients that read, over ${transport}`,
    async (t) => {
      if (needsCertificate && !requireBinary(t, 'openssl')) return
      const served = await serve(t, { transport })
      const clients = await Promise.all([reading(served, transport), reading(served, transport)])
      broadcastNumbers(served.app, 1, 5000, 200)
      for (const client of clients) {
        await readUpTo(client, 5000)
        t.strictSame(accountFor(client.events), { last: 5000, missed: 0, resyncs: [] })
      }
    }
  )

  t.test(
    `a client stuck past queueDepth loses its oldest, and is told exactly how many, over ${transport}`,
    async (t) => {
      if (needsCertificate && !requireBinary(t, 'openssl')) return
      const served = await serve(t, { transport, sse: { queueDepth: 10 } })
      const { app } = served
      const reader = await reading(served, transport)
      const slow = await stuck(served, transport)
      const filled = FILL[transport === 'unix' ? 'unix' : isHttp2(transport) ? 'http2' : 'http'] + 5
      broadcastNumbers(app, 1, filled, BIG)
      await readUpTo(reader, filled)
      const last = filled + 30
      await broadcastPaced(app, reader, filled + 1, last)
      t.strictSame(accountFor(reader.events), { last, missed: 0, resyncs: [] }, 'a client that reads loses nothing')
      t.equal(app.sse.stats().slowestLag, 10)

      slow.resume()
      await readUpTo(slow, last)
      const { missed, resyncs, ...account } = accountFor(slow.events)
      t.equal(account.last, last, 'what it was given and what it missed is what was broadcast')
      t.match(resyncs, [{ reason: 'overflow' }])
      const told = slow.events.findIndex((event) => resyncOf(event))
      t.strictSame(slow.events.slice(told + 1).map(numberOf), range(last - 9, last), 'it keeps the newest queueDepth')
      t.match(app.sse.stats(), { dropped: missed, resyncs: { overflow: 1 } })
    }
  )
}

const logs: [bound: string, sse: PylonSseOptions][] = [
  ['events', { history: { events: 10 }, queueDepth: 10 }],
  ['bytes', { history: { bytes: 2000 } }],
  ['events, a single one', { history: false, queueDepth: 1 }]
]
for (const [bound, sse] of logs) {
  t.test(`a burst larger than a log bounded by ${bound} loses nothing for clients that read`, async (t) => {
    const { app, connect } = await serve(t, { sse: { shards: 2, ...sse } })
    const clients = await Promise.all(range(1, 5).map(() => connect()))
    broadcastNumbers(app, 1, 5000)
    for (const client of clients) {
      await readUpTo(client, 5000)
      t.strictSame(accountFor(client.events), { last: 5000, missed: 0, resyncs: [] })
    }
    t.equal(app.sse.stats().dropped, 0)
  })
}

t.test('a stuck client that loses events to the bound of bytes is told exactly how many', async (t) => {
  const served = await serve(t, { transport: 'unix', sse: { history: { bytes: 5 * BIG } } })
  const reader = await served.connect()
  const slow = await stuckClient(served)
  broadcastNumbers(served.app, 1, 60, BIG)
  await readUpTo(reader, 60)
  slow.resume()
  await readUpTo(slow, 60)
  const { last, resyncs } = accountFor(slow.events)
  t.equal(last, 60)
  t.match(resyncs, [{ reason: 'overflow' }])
})

t.test('without history a slow client still catches up on queueDepth events', async (t) => {
  const served = await serve(t, { transport: 'unix', sse: { history: false, queueDepth: 50 } })
  const reader = await served.connect()
  const slow = await stuckClient(served)
  broadcastNumbers(served.app, 1, 30, BIG)
  await readUpTo(reader, 30)
  await broadcastPaced(served.app, reader, 31, 50)
  slow.resume()
  await readUpTo(slow, 50)
  t.strictSame(accountFor(slow.events), { last: 50, missed: 0, resyncs: [] })
})

t.test(
  'a client that resumes and reads slowly gets its whole replay, however much more than queueDepth it is',
  async (t) => {
    const served = await serve(t, { transport: 'unix', sse: { queueDepth: 20 } })
    const { app } = served
    const reader = await served.connect()
    const cursor = await reader.waitForId()
    broadcastNumbers(app, 1, 2000, 4 * KIB)
    await readUpTo(reader, 2000)
    const slow = await stuckClient(served, { lastEventId: cursor })
    await broadcastPaced(app, reader, 2001, 2020)
    t.ok(app.sse.stats().slowestLag > 1000, 'it is far behind')
    slow.resume()
    await readUpTo(slow, 2020)
    t.strictSame(accountFor(slow.events), { last: 2020, missed: 0, resyncs: [] })
  }
)

t.test('stuck clients do not delay others, not even in their own shard', async (t) => {
  const setup: ServeOptions['setup'] = (app) => app.get('/other', async () => 'served')
  const served = await serve(t, { transport: 'unix', setup, sse: { shards: 1 } })
  const before = await Promise.all(range(1, 5).map(() => stuckClient(served)))
  const reader = await served.connect()
  const after = await Promise.all(range(1, 5).map(() => stuckClient(served)))
  broadcastNumbers(served.app, 1, 25, BIG)
  await readUpTo(reader, 25)
  await broadcastPaced(served.app, reader, 26, 200)
  const other = await served.connect({ path: '/other' })
  await other.waitForEnd()
  t.equal(other.body, 'served')
  t.ok(served.app.sse.stats().slowestLag > 175, 'they are stuck')
  t.equal(served.app.sse.clientCount, 11)
  await Promise.all([...before, ...after].map((client) => client.abort()))
})
