import { randomUUID } from 'node:crypto'
import t from 'tap'
import {
  encodeConnected,
  encodeFarewell,
  encodeKeepAlive,
  encodeResync,
  encodeRetry,
  type Farewell,
  STAY_AWAY
} from '../../lib/log/encode.js'
import { frameOf, onlyEvents, receive } from '../kit/sent-events.js'

t.test('a stream opens with an event that tells who the client is, the cursor and the reconnection time', async (t) => {
  const client = randomUUID()
  const data = JSON.stringify({ client, keepAlive: 30_000 })
  const body = `event: connected\ndata: ${data}\n\n`
  const openings: [retry: number | undefined, id: string | undefined, wire: string][] = [
    [undefined, undefined, `: connected\n${body}`],
    [3000, undefined, `: connected\nretry: 3000\n${body}`],
    [0, 'e-0', `: connected\nretry: 0\nid: e-0\n${body}`],
    [undefined, 'e-41', `: connected\nid: e-41\n${body}`]
  ]
  for (const [retry, id, wire] of openings) {
    const text = encodeConnected({ retry, id, client, keepAlive: 30_000 })
    t.equal(text, wire)
    const retries = retry === undefined ? [] : [retry]
    t.strictSame(receive(Buffer.from(text)), {
      events: [{ id, event: 'connected', data }],
      comments: ['connected'],
      retries,
      strays: []
    })
  }
})

t.test('a reconnection time and a keepalive are lines, of which no client makes a message', async (t) => {
  t.equal(encodeRetry(4500), 'retry: 4500\n')
  t.equal(encodeKeepAlive(false), ': keepalive\n')
  const next = { text: 'next', id: '1' }
  t.strictSame(receive(Buffer.from(encodeRetry(4500)), Buffer.from(encodeKeepAlive(false)), frameOf(next)), {
    ...onlyEvents(next),
    comments: ['keepalive'],
    retries: [4500]
  })
})

t.test('a keepalive may tell how far the log has moved on, in an event of its own name', async (t) => {
  const text = encodeKeepAlive(true, 'e-41')
  t.equal(text, ': keepalive\nid: e-41\nevent: keepalive\ndata: {}\n\n')
  const events = [{ id: 'e-41', event: 'keepalive', data: '{}' }]
  t.strictSame(receive(Buffer.from(text)), { events, comments: ['keepalive'], retries: [], strays: [] })
})

t.test('the last bytes of a stream are not an event, unless the client is to stay away', async (t) => {
  const stayAway = `id: ${STAY_AWAY}\nevent: ${STAY_AWAY}\ndata: {}\n\n`
  const event = { id: STAY_AWAY, event: STAY_AWAY, data: '{}' }
  const farewells: [Farewell, wire: string, retries: number[], events: object[]][] = [
    [{ retry: 0 }, 'retry: 0\n', [0], []],
    [{ retry: 4500 }, 'retry: 4500\n', [4500], []],
    [{ stayAway: true }, stayAway, [], [event]]
  ]
  for (const [farewell, wire, retries, events] of farewells) {
    const text = encodeFarewell(farewell)
    t.equal(text, wire)
    t.strictSame(receive(Buffer.from(text)), { events, comments: [], retries, strays: [] })
  }
})

t.test('a resync is an event that tells why, how many events were missed, and where to go on from', async (t) => {
  t.equal(encodeResync('e-9', 'overflow', 4), 'id: e-9\nevent: resync\ndata: {"reason":"overflow","missed":4}\n\n')
  t.strictSame(receive(Buffer.from(encodeResync('e-9', 'unknown', null))).events, [
    { id: 'e-9', event: 'resync', data: '{"reason":"unknown","missed":null}' }
  ])
})
