import t from 'tap'
import type { PylonSseOptions } from '../../../lib/index.js'
import { dataOf, Guests } from '../../kit/guests.js'
import { accountFor, broadcastNumbers, numberedText, readUpTo, resyncOf } from '../../kit/numbered.js'
import { serve } from '../../kit/server.js'
import { BIG, FILL, stuckClient } from '../../kit/slow-reader.js'

const KIB = 1024

t.test('client.send reaches that client alone, in order with broadcasts', async (t) => {
  const guests = new Guests()
  const { app, connect } = await serve(t, { sse: guests.hooks })
  const [client, other] = [await connect(), await connect()]
  const [guest] = guests.here
  const cursor = await client.waitForId()
  app.sse.broadcast('a')
  t.equal(guest!.send({ to: 'you' }, { event: 'private' }), true)
  app.sse.broadcast('b')
  app.sse.broadcast('c')
  guest!.send('1')
  guest!.send('2')
  app.sse.broadcast('d')

  t.strictSame(await dataOf(client, 7), ['"a"', '{"to":"you"}', '"b"', '"c"', '"1"', '"2"', '"d"'])
  t.strictSame(await dataOf(other, 4), ['"a"', '"b"', '"c"', '"d"'])
  const [, sent] = client.events
  t.match(sent, { id: undefined, event: 'private' })
  t.strictSame(client.ids, [cursor, ...other.events.map(({ id }) => id)], 'it leaves no trace in the cursor')
})

t.test('events of client.send are not replayed', async (t) => {
  const guests = new Guests()
  const { app, connect } = await serve(t, { sse: guests.hooks })
  const client = await connect()
  app.sse.broadcast('a')
  guests.here[0]!.send('for you')
  app.sse.broadcast('b')
  await client.take(3)
  const again = await connect({ lastEventId: client.ids[0]! })
  app.sse.broadcast('c')
  t.strictSame(await dataOf(again, 3), ['"a"', '"b"', '"c"'])
})

t.test('client.send to a client that is catching up comes after what was broadcast before', async (t) => {
  const guests = new Guests()
  const served = await serve(t, { transport: 'unix', sse: guests.hooks })
  const client = await stuckClient(served)
  broadcastNumbers(served.app, 1, FILL, BIG)
  guests.here[0]!.send('sent')
  broadcastNumbers(served.app, FILL + 1, FILL + 5, BIG)
  client.resume()
  await readUpTo(client, FILL + 5)
  t.equal(
    client.events.findIndex((event) => event.data === '"sent"'),
    FILL
  )
  t.equal(accountFor(client.events.filter((event) => event.data !== '"sent"')).last, FILL + 5)
})

t.test('client.send refuses the same events as broadcast', async (t) => {
  const guests = new Guests()
  const { app, connect } = await serve(t, { sse: { maxEventBytes: 100, ...guests.hooks } })
  const client = await connect()
  const guest = guests.here[0]!
  t.throws(() => guest.send(undefined), { code: 'PYLON_SSE_ERR_UNSERIALIZABLE' })
  t.throws(() => guest.send(1, { event: 'a\nb' }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
  // @ts-expect-error
  t.throws(() => guest.send(1, { id: 'own' }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
  t.throws(() => guest.send('x'.repeat(99)), { code: 'PYLON_SSE_ERR_EVENT_TOO_LARGE' })
  guest.send('x'.repeat(98))
  t.strictSame(await dataOf(client, 1), [`"${'x'.repeat(98)}"`])
  app.sse.broadcast(1)
  t.strictSame(await dataOf(client, 1), ['1'])
})

const bounds: [what: string, sse: PylonSseOptions, bytes: number, kept: number][] = [
  ['queueDepth events', { queueDepth: 5 }, 10, 5],
  ['maxEventBytes', { maxEventBytes: 100 * KIB }, 30 * KIB, 3],
  ['a single event where it is as large as that', { maxEventBytes: BIG + 100 }, BIG, 1]
]
for (const [what, sse, bytes, kept] of bounds) {
  t.test(`a stuck client holds ${what} sent to it alone, and is told how many older ones it lost`, async (t) => {
    const guests = new Guests()
    const served = await serve(t, { transport: 'unix', sse: { ...sse, ...guests.hooks } })
    const client = await stuckClient(served)
    broadcastNumbers(served.app, 1, FILL, BIG)
    const reader = await served.connect()
    broadcastNumbers(served.app, FILL + 1, FILL + 1)
    await readUpTo(reader, FILL + 1)
    const sends = 20
    for (let n = 1; n <= sends; n++) t.equal(guests.here[0]!.send(numberedText(1000 + n, bytes)), true)
    t.equal(served.app.sse.stats().dropped, sends - kept)
    client.resume()
    await client.until((event) => event.data.startsWith(`"${1000 + sends} `))
    const sent = client.events.filter((event) => event.data.startsWith('"'))
    t.strictSame(
      sent.map((event) => Number.parseInt(event.data.slice(1), 10)),
      Array.from({ length: kept }, (_, i) => 1000 + sends - kept + 1 + i)
    )
    const broadcast = client.events.filter((event) => !sent.includes(event) && !resyncOf(event))
    t.equal(accountFor(broadcast).last, FILL + 1, 'no broadcast is lost for it')
    t.match(
      client.events.flatMap((event) => resyncOf(event) ?? []),
      [{ reason: 'overflow', missed: sends - kept }]
    )
  })
}

t.test("with overflow 'disconnect' a stuck client is cut when too much is sent to it", async (t) => {
  const guests = new Guests()
  const sse = { queueDepth: 5, overflow: 'disconnect', ...guests.hooks } as const
  const served = await serve(t, { transport: 'unix', sse })
  await stuckClient(served)
  broadcastNumbers(served.app, 1, FILL, BIG)
  const reader = await served.connect()
  broadcastNumbers(served.app, FILL + 1, FILL + 1)
  await readUpTo(reader, FILL + 1)
  const [guest] = guests.here
  const answers = Array.from({ length: 7 }, () => guest!.send('x'))
  t.strictSame(answers, [true, true, true, true, true, false, false])
  await guests.waitForLeaving()
  t.match(guests.left, [{ client: guest, reason: 'overflow' }])
})
