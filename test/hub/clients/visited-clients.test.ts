import t from 'tap'
import type { SseClient } from '../../../lib/index.js'
import { serve } from '../../kit/server.js'
import { Arrivals } from '../../kit/topics.js'

t.test('each client is visited once, whatever is done to it and to others meanwhile', async (t) => {
  const arrivals = new Arrivals()
  const served = await serve(t, { sse: { shards: 4, maxClientsPerIp: false, onConnect: arrivals.onConnect } })
  for (let i = 0; i < 20; i++) await served.connect()
  const { sse } = served.app
  const visit = (each: (client: SseClient, count: number) => void): number => {
    const visited: SseClient[] = []
    for (const client of sse.clients) {
      visited.push(client)
      each(client, visited.length)
      if (visited.length > 100) break
    }
    t.equal(new Set(visited).size, visited.length, 'none twice')
    return visited.length
  }
  t.equal(
    visit((client) => client.subscribe('a')),
    20
  )
  t.equal(
    visit((client, count) => client.subscribe(`room.${count}`)),
    20
  )
  t.equal(
    visit((client) => client.unsubscribe('a')),
    20
  )
  const [first, last] = [[...sse.clients][0]!, [...sse.clients].at(-1)!]
  t.equal(
    visit((client) => client === first && last.close()),
    19,
    'who leaves meanwhile is left out'
  )
  t.equal(
    visit((client) => client.close()),
    19
  )
  t.equal(sse.clientCount, 0)
})
