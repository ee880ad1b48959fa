import t from 'tap'
import { serve } from '../kit/server.js'
import { BULK, stuckClient } from '../kit/slow-reader.js'

t.test('onConnect may broadcast: the others get it, and the client gets it after its own snapshot', async (t) => {
  const s = await serve(t, {
    sse: {
      async onConnect(client) {
        s.app.sse.broadcast({ come: s.app.sse.clientCount })
        await null
        s.app.sse.broadcast('later')
        client.send('snapshot')
      }
    }
  })
  const first = await s.connect()
  await first.take(3)
  const second = await s.connect()
  const dataOf = async (client: typeof first, count: number) => (await client.take(count)).map(({ data }) => data)
  t.strictSame(await dataOf(second, 3), ['"snapshot"', '{"come":2}', '"later"'])
  t.strictSame(await dataOf(first, 2), ['{"come":2}', '"later"'])
})

t.test('onDisconnect may broadcast, even if a broadcast has disconnected the clients', async (t) => {
  const s = await serve(t, {
    transport: 'unix',
    sse: {
      shards: 2,
      overflow: 'disconnect',
      queueDepth: 1,
      onDisconnect: (client) => s.app.sse.broadcast({ gone: client.state.number }),
      onConnect: (client) => {
        client.state.number = s.app.sse.clientCount
      }
    }
  })
  const readers = [await s.connect(), await s.connect()]
  for (let i = 0; i < 4; i++) await stuckClient(s)
  readers.push(await s.connect(), await s.connect())
  s.app.sse.broadcastMessage(BULK)
  await Promise.all(readers.map((reader) => reader.next()))
  for (let n = 1; n <= 3; n++) s.app.sse.broadcast(n)
  s.app.sse.broadcast('last of the four')
  const [all, ...others] = await Promise.all(readers.map((reader) => reader.take(4 + 4)))
  t.strictSame(
    all!.map(({ data }) => data).sort(),
    ['1', '2', '3', '"last of the four"', ...[3, 4, 5, 6].map((gone) => JSON.stringify({ gone }))].sort()
  )
  for (const events of others) t.strictSame(events, all, 'the same for everyone, in the same order')
})

t.test('a serialize may broadcast, send and close, also from within a send', async (t) => {
  const s = await serve(t, {
    sse: {
      serialize: (data) => {
        if (data === 'outer') s.app.sse.broadcastMessage('broadcast from within')
        if (data === 'outer') for (const client of s.app.sse.clients) client.send('sent from within')
        if (data === 'fatal') for (const client of s.app.sse.clients) client.close()
        return String(data)
      }
    }
  })
  const client = await s.connect()
  const [served] = s.app.sse.clients
  t.equal(served!.send('outer'), true)
  s.app.sse.broadcast('outer')
  const events = await client.take(6)
  const expected = ['broadcast from within', 'sent from within', 'outer']
  t.strictSame(
    events.map(({ data }) => data),
    [...expected, ...expected]
  )
  t.equal(served!.send('fatal'), false)
  await client.waitForEnd()
  t.equal(client.events.length, 6)
})
