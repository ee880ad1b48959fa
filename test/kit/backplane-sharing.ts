// Tests of what crosses processes over a real engine: events, answers of requests, commands, ids. Faults are in
// backplane-faults.ts.

import type { EngineTest } from './engines.js'
import type { EventReader } from './event-reader.js'
import { resyncOf } from './numbered.js'
import {
  dataOf,
  eventsOf,
  LONG,
  type Process,
  publish,
  range,
  startProcess,
  startProcesses,
  USER,
  waitForEvents
} from './processes.js'
import type { SseClient } from './sse-client.js'

/** Tests that processes which share an engine serve their clients as one. */
export function testSharing(test: EngineTest): void {
  test('an event broadcast on any process reaches every client on all processes, in one order', async (t, engine) => {
    const processes = await startProcesses(t, engine, 3)
    const clients: SseClient[] = []
    for (const { connect } of processes) clients.push(await connect(), await connect())
    for (const n of range(1, 50)) {
      for (const [i, { app }] of processes.entries()) app.sse.broadcast({ process: i, n })
      if (n % 10 === 0) await new Promise(setImmediate)
    }
    await waitForEvents(clients, 150)
    const seen = eventsOf(clients[0]!)
    for (const client of clients) t.strictSame(eventsOf(client), seen)
    t.equal(new Set(seen.map(({ id }) => id)).size, 150, 'each event has an id of its own')
    for (const i of [0, 1, 2]) {
      const own = seen.map(({ data }) => JSON.parse(data)).filter(({ process }) => process === i)
      t.strictSame(
        own.map(({ n }) => n),
        range(1, 50),
        'events of one process are in the order of its broadcasts'
      )
    }
  })

  test('event names, ids, topics, except and text arrive unchanged on other processes', async (t, engine) => {
    const [near, far] = await startProcesses(t, engine, 2)
    const everyone = await far.connect()
    const subscriber = await far.connect({ query: { topic: 'a.b' } })
    const [left] = [...far.app.sse.clients].filter(({ topics }) => topics.length === 0)
    near.app.sse.broadcast({ deep: [1, null] }, { event: 'named', id: 'own-1' })
    near.app.sse.broadcast('topical', { topic: 'a.b' })
    near.app.sse.broadcast('not for one', { except: left!.id })
    near.app.sse.broadcastMessage('two\nlines')
    const expected: (readonly [string | undefined, string])[] = [
      ['named', '{"deep":[1,null]}'],
      [undefined, '"topical"'],
      [undefined, '"not for one"'],
      [undefined, 'two\nlines']
    ]
    await waitForEvents([everyone], 2)
    await waitForEvents([subscriber], 4)
    const seen = (reader: EventReader) => eventsOf(reader).map(({ event, data }) => [event, data])
    t.strictSame(seen(subscriber), expected)
    t.strictSame(seen(everyone), [expected[0], expected[3]])
    t.equal(eventsOf(everyone)[0]!.id, 'own-1')
    const page = (await (await fetch(`${far.url}/events`, { headers: { accept: 'application/json' } })).json()) as {
      events: { data: unknown }[]
    }
    t.strictSame(page.events.at(-1)!.data, 'two\nlines', 'text stays text in the JSON page')
    await t.rejects(near.app.sse.publish(1, { id: 'own-1' }), { code: 'PYLON_SSE_ERR_DUPLICATE_ID' })
    await t.rejects(far.app.sse.publish(1, { id: 'own-1' }), { code: 'PYLON_SSE_ERR_DUPLICATE_ID' })
  })

  test('a request that is repeated on another process publishes once, and gets the same answer', async (t, engine) => {
    const processes = await startProcesses(t, engine, 2)
    const client = await processes[1].connect()
    const post = async ({ url }: Process) => {
      const response = await fetch(`${url}/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': 'order-7' },
        body: JSON.stringify([{ data: 1 }, { data: 2 }])
      })
      t.equal(response.status, 202)
      return ((await response.json()) as { ids: string[] }).ids
    }
    const answers = await Promise.all([...processes, ...processes].map(post))
    for (const ids of answers) t.strictSame(ids, answers[0])
    t.strictSame(await post(processes[0]), answers[0])
    await processes[0].app.sse.publish('end')
    await waitForEvents([client], 3)
    t.strictSame(dataOf(client), ['1', '2', '"end"'])
  })

  test('subscribe, send and disconnect apply to all clients of a user, on all processes', async (t, engine) => {
    const processes = await startProcesses(t, engine, 3)
    const [gone, kept] = [[] as SseClient[], [] as SseClient[]]
    for (const { connect } of processes) {
      gone.push(await connect({ headers: { [USER]: 'eve' } }))
      kept.push(await connect({ headers: { [USER]: 'ann' } }))
    }
    const { sse } = processes[1].app
    const eve = { state: { user: 'eve' } }
    t.equal(sse.subscribe(eve, 'room'), 1, 'the number of clients on this process')
    await sse.publish('in', { topic: 'room' })
    t.equal(sse.send(eve, { to: 'eve' }, { event: 'note' }), 1)
    await waitForEvents(gone, 2)
    t.equal(sse.unsubscribe(eve, 'room'), 1)
    await sse.publish('out', { topic: 'room' })
    await sse.publish('for all')
    await waitForEvents(gone, 3)
    sse.disconnect(eve)
    for (const client of gone) {
      await client.waitForEnd(LONG)
      t.strictSame(
        eventsOf(client).map(({ event, data }) => [event, data]),
        [
          [undefined, '"in"'],
          ['note', '{"to":"eve"}'],
          [undefined, '"for all"']
        ]
      )
    }
    await processes[0].app.sse.publish('still here')
    await waitForEvents(kept, 2)
    for (const client of kept) t.strictSame(dataOf(client), ['"for all"', '"still here"'])
  })

  test('a client resumes where it left off on any process, also on one that started later', async (t, engine) => {
    const [first, second] = await startProcesses(t, engine, 2)
    const early = await first.connect()
    const beforeAll = await early.waitForId()
    await publish(first, 1, 5)
    await waitForEvents([early], 5)
    await early.close()
    await Promise.all([publish(first, 6, 10), publish(second, 106, 110)])
    const later = await startProcess(t, engine.backplane())
    const [third, whole] = [early.events[2]!.id!, beforeAll]
    for (const { connect } of [first, second, later]) {
      const resumed = await connect({ lastEventId: third })
      await waitForEvents([resumed], 12)
      t.strictSame(dataOf(resumed).slice(0, 2), ['4', '5'])
      t.strictSame(
        dataOf(resumed)
          .slice(2)
          .map(Number)
          .sort((a, b) => a - b),
        [...range(6, 10), ...range(106, 110)]
      )
      const fromStart = await connect({ lastEventId: whole })
      await waitForEvents([fromStart], 15)
      t.strictSame(dataOf(fromStart).slice(3), dataOf(resumed))
      t.strictSame([...resumed.events, ...fromStart.events].filter(resyncOf), [], 'no client gets a resync')
    }
  })
}
