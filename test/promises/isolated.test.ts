import { once } from 'node:events'
import net from 'node:net'
import t from 'tap'
import { accountFor, broadcastNumbers, readUpTo } from '../kit/numbered.js'
import { serve } from '../kit/server.js'
import { KERNEL_HOLDS, stuckClient } from '../kit/slow-reader.js'
import { placeOf, say, talkative } from '../kit/talkative.js'

const KIB = 1024

t.test('5. Isolated: slow, stuck and hostile clients delay nobody else', async (t) => {
  const served = await serve(t, { setup: talkative, sse: { shards: 2, maxClientsPerIp: 10 } })
  const readers = [await served.connect(), await served.connect()]
  const hostile = { localAddress: '127.0.0.66' }
  const sockets = Array.from({ length: 4 }, () => net.connect({ port: served.port!, host: '127.0.0.1', ...hostile }))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (const socket of sockets) socket.on('error', () => {})
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  const [garbage, unfinished, oversized, flood] = sockets
  const request = 'GET /events HTTP/1.1\r\nhost: x\r\n\r\n'
  garbage!.write(`${request}no request at all\r\n\r\n`)
  unfinished!.write('GET /events HTTP/1.1\r\nhost:')
  oversized!.write(`GET /events HTTP/1.1\r\nlast-event-id: ${'x'.repeat(100 * KIB)}\r\n\r\n`)
  flood!.write(request.repeat(1000))
  const lame = { localAddress: '127.0.0.67' }
  await Promise.all([
    served.connect({ ...lame, stuckBefore: 'head' }),
    stuckClient(served, lame),
    stuckClient(served, lame),
    served.connect(lame).then((client) => client.endRequests())
  ])
  // Behind them in their shards.
  readers.push(await served.connect(), await served.connect())
  let n = 0
  const everybodyElseIsServed = async (bytes: number) => {
    for (const end = n + 20; n < end; ) {
      broadcastNumbers(served.app, ++n, n, bytes)
      for (const reader of readers) await readUpTo(reader, n)
    }
    n++
    t.equal(placeOf(await say(served, n)), n, 'and so are other routes')
    for (const reader of readers) await readUpTo(reader, n)
  }
  await everybodyElseIsServed(0)
  await everybodyElseIsServed(KERNEL_HOLDS.tcp / 20)
  const storm = Array.from({ length: 20 }, () => served.connect({ ...hostile, waitForHead: false }))
  const storming = Promise.all(storm.map(async (client) => (await client).abort()))
  await everybodyElseIsServed(0)
  await storming
  for (const reader of readers) t.strictSame(accountFor(reader.events), { last: n, missed: 0, resyncs: [] })
})
