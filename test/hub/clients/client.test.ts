import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { Connections } from '../../kit/connections.js'
import { dataOf, Guests } from '../../kit/guests.js'
import { broadcastNumbers, readUpTo } from '../../kit/numbered.js'
import { serve } from '../../kit/server.js'
import { BIG, FILL, stuckClient } from '../../kit/slow-reader.js'

t.test('close() ends the stream properly, after everything that was broadcast and sent before', async (t) => {
  const guests = new Guests()
  const { app, connect } = await serve(t, { sse: guests.hooks })
  const [client, other] = [await connect(), await connect()]
  const [guest] = guests.here
  guest!.send('bye')
  app.sse.broadcast('last')
  guest!.close()
  app.sse.broadcast('too late')
  t.equal(guest!.send('too late'), false)
  t.equal(app.sse.clientCount, 1)
  await client.waitForEnd()
  t.strictSame(await dataOf(client, 2), ['"bye"', '"last"'])
  t.equal(client.events.length, 2)
  t.strictSame(client.retries, [], 'the reconnection time stays what it was')
  await guests.waitForLeaving()
  guest!.close()
  t.strictSame(await dataOf(other, 2), ['"last"', '"too late"'])
  t.match(guests.left, [{ client: guest, reason: 'closed' }])
  t.equal(guests.left.length, 1)
})

t.test('a stuck client is gone soon after close(), though it does not read the end', async (t) => {
  const guests = new Guests()
  let connections!: Connections
  const setup = (app: FastifyInstance) => {
    connections = new Connections(app)
  }
  const served = await serve(t, { transport: 'unix', setup, sse: guests.hooks })
  const client = await stuckClient(served)
  const reader = await served.connect()
  broadcastNumbers(served.app, 1, FILL, BIG)
  await readUpTo(reader, FILL)
  guests.here[0]!.close()
  t.equal(guests.here[0]!.send('too late'), false)
  await guests.waitForLeaving()
  t.match(guests.left, [{ reason: 'closed' }])
  await connections.waitForNumber(1)
  client.resume()
  await client.waitForClose()
  t.notOk(client.ended)
})

t.test('a client has its own id, its address, the time it connected, and a place for data of the app', async (t) => {
  const before = new Date()
  const guests = new Guests()
  const served = await serve(t, { sse: guests.hooks })
  const [client] = await Promise.all([
    served.connect({ localAddress: '127.0.0.9' }),
    served.connect(),
    served.connect(),
    served.connect()
  ])
  t.equal(new Set(guests.here.map(({ id }) => id)).size, 4)
  const guest = guests.here.find(({ ip }) => ip === '127.0.0.9')!
  t.type(guest.id, 'string')
  t.ok(guest.connectedAt >= before && guest.connectedAt <= new Date())
  t.strictSame(guest.state, {})
  guest.state = { user: 7 }
  const listed = [...served.app.sse.clients]
  t.equal(listed.length, 4)
  t.ok(listed.includes(guest), 'the app meets the same client everywhere')
  await client.abort()
  await guests.waitForLeaving()
  t.match(guests.left, [{ client: { state: { user: 7 } }, reason: 'disconnected' }])

  const again = await served.connect({ localAddress: '127.0.0.9', lastEventId: client.lastEventId })
  const returned = guests.here.at(-1)!
  t.not(returned.id, guest.id, 'each connection is another client')
  await again.close()
})

t.test('a client over a unix socket has no address', async (t) => {
  const guests = new Guests()
  const { connect } = await serve(t, { transport: 'unix', sse: guests.hooks })
  await connect()
  t.equal(guests.here[0]!.ip, undefined)
})
