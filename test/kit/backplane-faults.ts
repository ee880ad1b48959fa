// Faults of real engines: what clients get while an engine is killed, frozen or cut off, the same for all engines. Logs
// that go back in time are in engine-losses.ts.

import type { Test } from 'tap'
import type { Backplane, BackplaneLimits } from '../../lib/backplane/backplane.js'
import type { PylonSseOptions } from '../../lib/index.js'
import type { EventReader, SseEvent } from './event-reader.js'
import { LogLines } from './log-lines.js'
import { resyncOf } from './numbered.js'
import { type Served, serve } from './server.js'
import type { SseClient } from './sse-client.js'
import { TcpProxy } from './tcp-proxy.js'

/** A real engine that a test has started, and mistreats. */
export interface Engine {
  /** As errors name it. */
  readonly name: string
  readonly port: number
  /** Of one process. @param port of a proxy, where it is not to go straight to the engine */
  backplane(limits?: Partial<BackplaneLimits>, port?: number): Backplane
  /** Starts it, after `kill9`. It has all that it acknowledged. */
  start(): Promise<void>
  kill9(): Promise<void>
  freeze(): void
  thaw(): void
  /** Drops the entries that it holds, as a bound does; what follows is numbered on. */
  trim(): Promise<void>
  /** Deletes the log, as if it had never been. */
  flush(): Promise<void>
  /** Connections that backplanes have to it. */
  countConnections(): Promise<number>
}

/** A server of an engine that the tests start and stop. */
interface EngineServer extends Pick<Engine, 'port' | 'start' | 'kill9' | 'freeze' | 'thaw'> {
  keep(): Promise<void>
  restore(): Promise<void>
  /** Names of the connections that clients have to it. */
  connectionNames(): Promise<string[]>
}

/** What is done to the server of an engine, whichever it is. */
export function controlsOf(server: EngineServer) {
  return {
    port: server.port,
    start: () => server.start(),
    kill9: () => server.kill9(),
    keep: () => server.keep(),
    restore: () => server.restore(),
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    countConnections: async () => (await server.connectionNames()).filter((name) => name === 'pylon-sse').length
  }
}

/** @returns nothing where there is no such engine on this machine */
export type StartEngine = (t: Test) => Promise<Engine | undefined>

export interface Process extends Served {
  readonly log: LogLines
}

/** How long a test waits for what follows a fault: a frozen engine is given up after seconds. */
export const LONG = 30_000
/** A client's own, where the test tells users apart. */
const USER = 'x-user'

/** A process of the app, as far as an engine can tell. */
export async function startProcess(t: Test, backplane: Backplane, sse: PylonSseOptions = {}): Promise<Process> {
  const log = new LogLines()
  const served = await serve(t, {
    fastify: { logger: { level: 'warn', stream: log } },
    sse: {
      backplane,
      publish: {},
      authorizeTopics: () => true,
      onConnect: (client, request) => {
        client.state.user = request.headers[USER]
      },
      ...sse
    }
  })
  return { ...served, log }
}

export async function startProcesses(
  t: Test,
  engine: Pick<Engine, 'backplane'>,
  count: number,
  limits?: Partial<BackplaneLimits>
) {
  const processes: Process[] = []
  for (let i = 0; i < count; i++) processes.push(await startProcess(t, engine.backplane(limits)))
  return processes as [Process, Process, ...Process[]]
}

export function eventsOf(reader: EventReader): SseEvent[] {
  return reader.events.filter((event) => resyncOf(event) === undefined)
}

export function dataOf(reader: EventReader): string[] {
  return eventsOf(reader).map(({ data }) => data)
}

/** Resolves once each of the readers has so many events. */
export async function waitForEvents(readers: readonly EventReader[], count: number): Promise<void> {
  for (const reader of readers) while (eventsOf(reader).length < count) await reader.next(LONG)
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

export function publish({ app }: Process, from: number, to: number): Promise<string[]> {
  return Promise.all(range(from, to).map((n) => app.sse.publish(n)))
}

/** Waits until it holds; the engine is asked, and tells nothing by itself. */
export async function eventually(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + LONG
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${LONG} ms until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** What every backplane must do. Each is a test of its own, with an engine of its own. */
export function testBackplane(t: Test, start: StartEngine): void {
  const test = (title: string, run: (t: Test, engine: Engine) => Promise<void>) =>
    t.test(title, async (t) => {
      const engine = await start(t)
      if (engine !== undefined) await run(t, engine)
    })

  test('an event broadcast on any process reaches every client on all of them, in one order', async (t, engine) => {
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
    t.equal(new Set(seen.map(({ id }) => id)).size, 150, 'each has an id of its own')
    for (const i of [0, 1, 2]) {
      const own = seen.map(({ data }) => JSON.parse(data)).filter(({ process }) => process === i)
      t.strictSame(
        own.map(({ n }) => n),
        range(1, 50),
        'those of one process are in its order'
      )
    }
  })

  test('names, own ids, topics, except and text cross as they are', async (t, engine) => {
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

  test('a request that is repeated on another process is answered as it was, and publishes once', async (t, engine) => {
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

  test('a user is subscribed, told and disconnected on all processes', async (t, engine) => {
    const processes = await startProcesses(t, engine, 3)
    const [gone, kept] = [[] as SseClient[], [] as SseClient[]]
    for (const { connect } of processes) {
      gone.push(await connect({ headers: { [USER]: 'eve' } }))
      kept.push(await connect({ headers: { [USER]: 'ann' } }))
    }
    const { sse } = processes[1].app
    const eve = { state: { user: 'eve' } }
    t.equal(sse.subscribe(eve, 'room'), 1, 'the number here')
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

  test('a client resumes on another process, and on one that began later, where it left off', async (t, engine) => {
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
      t.strictSame([...resumed.events, ...fromStart.events].filter(resyncOf), [], 'nothing was missed')
    }
  })

  test('an engine killed and started again loses nothing that it acknowledged, and no client', async (t, engine) => {
    const processes = await startProcesses(t, engine, 2)
    const clients = [await processes[0].connect(), await processes[1].connect()]
    const ids = await publish(processes[0], 1, 20)
    await engine.kill9()
    const meanwhile = publish(processes[1], 21, 40)
    for (const n of range(41, 60)) processes[0].app.sse.broadcast(n)
    for (const { app, log } of processes) {
      await log.waitFor(/is out of reach/, LONG)
      t.notOk(app.sse.ready, 'an orchestrator is told')
      t.notOk(app.sse.stats().backplane!.connected)
    }
    t.ok(processes[0].app.sse.stats().backplane!.pending > 0)
    await engine.start()
    ids.push(...(await meanwhile))
    await waitForEvents(clients, 60)
    for (const client of clients) {
      t.strictSame(eventsOf(client), eventsOf(clients[0]!), 'all see one order')
      const numbers = dataOf(client).map(Number)
      t.strictSame(
        [...numbers].sort((a, b) => a - b),
        range(1, 60),
        'everything comes once'
      )
      t.strictSame(numbers.slice(0, 20), range(1, 20))
      t.strictSame(
        numbers.filter((n) => n > 20 && n <= 40),
        range(21, 40)
      )
      t.strictSame(
        numbers.filter((n) => n > 40),
        range(41, 60)
      )
      t.strictSame(client.events.filter(resyncOf), [])
      const idOf = new Map(client.events.map(({ data, id }) => [Number(data), id]))
      t.strictSame(
        ids,
        range(1, 40).map((n) => idOf.get(n)),
        'under the id that was answered'
      )
    }
    for (const { app, log } of processes) {
      await log.waitFor(/is reached again/, LONG)
      t.ok(app.sse.ready)
      t.equal(app.sse.stats().backplane!.lost, 0)
    }
  })

  test('a frozen engine is noticed, and what waits for it goes out once it goes on', async (t, engine) => {
    const processes = await startProcesses(t, engine, 2, { publishTimeout: 60_000 })
    const clients = [await processes[0].connect(), await processes[1].connect()]
    await publish(processes[0], 1, 5)
    await waitForEvents(clients, 5)
    engine.freeze()
    t.teardown(() => engine.thaw())
    const meanwhile = publish(processes[1], 6, 10)
    for (const { log } of processes) await log.waitFor(/is out of reach/, LONG)
    engine.thaw()
    const ids = await meanwhile
    await waitForEvents(clients, 10)
    for (const client of clients) {
      t.strictSame(dataOf(client).map(Number), range(1, 10))
      t.strictSame(
        eventsOf(client)
          .slice(5)
          .map(({ id }) => id),
        ids
      )
      t.strictSame(client.events.filter(resyncOf), [])
    }
    for (const { log } of processes) await log.waitFor(/is reached again/, LONG)
  })

  test('past its bounds an event is lost, and its publisher told', async (t, engine) => {
    const limits = { maxPending: 5, publishTimeout: 500 }
    const one = await startProcess(t, engine.backplane(limits))
    const client = await one.connect()
    await engine.kill9()
    await one.log.waitFor(/is out of reach/, LONG)
    const { sse } = one.app
    const waiting = range(1, 5).map((n) => sse.publish(n))
    const late = Promise.allSettled(waiting)
    await t.rejects(sse.publish(6), { code: 'PYLON_SSE_ERR_BACKPLANE_FULL', statusCode: 503 })
    t.doesNotThrow(() => sse.broadcast(7))
    for (const result of await late)
      t.match(result, { status: 'rejected', reason: { code: 'PYLON_SSE_ERR_BACKPLANE_TIMEOUT' } })
    await one.log.waitFor(/an event is lost/, LONG)
    t.equal(sse.stats().backplane!.lost, 1)
    t.equal(sse.stats().backplane!.pending, 0)
    sse.broadcast(8)
    await eventually(() => sse.stats().backplane!.lost === 2, 'the loss is counted')
    await engine.start()
    await one.log.waitFor(/is reached again/, LONG)
    await sse.publish(9)
    await client.until(({ data }) => data === '9', LONG)
    t.strictSame(dataOf(client), ['9'], 'nothing that was given up comes later')
  })

  test('where events were trimmed while a process was away, its clients are told', async (t, engine) => {
    const wire = await TcpProxy.to(t, engine.port)
    const [present, away] = [
      await startProcess(t, engine.backplane()),
      await startProcess(t, engine.backplane({}, wire.port))
    ]
    const clients = [await present.connect(), await away.connect({ headers: { [USER]: 'eve' } })]
    await publish(present, 1, 5)
    await waitForEvents(clients, 5)
    wire.cut()
    await away.log.waitFor(/is out of reach/, LONG)
    await publish(present, 6, 10)
    await engine.trim()
    await publish(present, 11, 12)
    wire.mend()
    const resync = await clients[1]!.until((event) => resyncOf(event) !== undefined, LONG)
    t.strictSame(resyncOf(resync), { reason: 'backplane', missed: null })
    await away.log.waitFor(/have left the backplane/, LONG)
    await waitForEvents([clients[1]!], 7)
    await waitForEvents([clients[0]!], 12)
    t.strictSame(dataOf(clients[1]!).map(Number), [...range(1, 5), 11, 12])
    t.strictSame(dataOf(clients[0]!).map(Number), range(1, 12), 'on the others nobody missed anything')
    // A cursor from before the gap is of no use on the process that missed it, and is told so.
    const old = clients[0]!.events[2]!.id!
    const resumed = await away.connect({ lastEventId: old })
    t.match(resyncOf(await resumed.next(LONG)), { reason: 'expired' })
    const lucky = await present.connect({ lastEventId: old })
    await waitForEvents([lucky], 9)
    t.strictSame(dataOf(lucky).map(Number), range(4, 12))
  })

  test('a short absence costs nothing', async (t, engine) => {
    const wire = await TcpProxy.to(t, engine.port)
    const [present, away] = [
      await startProcess(t, engine.backplane()),
      await startProcess(t, engine.backplane({}, wire.port))
    ]
    const client = await away.connect()
    wire.cut()
    await away.log.waitFor(/is out of reach/, LONG)
    const own = publish(away, 101, 105)
    await publish(present, 1, 5)
    wire.mend()
    await own
    await waitForEvents([client], 10)
    t.strictSame(dataOf(client).map(Number), [...range(1, 5), ...range(101, 105)])
    t.strictSame(client.events.filter(resyncOf), [])
  })

  test('where the log was deleted, all go on with the new one', async (t, engine) => {
    const processes = await startProcesses(t, engine, 2)
    const clients = [await processes[0].connect(), await processes[1].connect()]
    await publish(processes[0], 1, 5)
    await waitForEvents(clients, 5)
    await engine.flush()
    for (const client of clients) {
      const resync = await client.until((event) => resyncOf(event) !== undefined, LONG)
      t.strictSame(resyncOf(resync), { reason: 'backplane', missed: null })
    }
    await publish(processes[1], 6, 8)
    await waitForEvents(clients, 8)
    for (const client of clients) t.strictSame(dataOf(client).map(Number), range(1, 8))
    const later = await startProcess(t, engine.backplane())
    const resumed = await later.connect({ lastEventId: clients[0]!.events[1]!.id! })
    t.ok(resyncOf(await resumed.next(LONG)), 'what it missed in the old one nobody can tell')
    const [recent] = clients[0]!.events.filter(({ data }) => data === '6')
    const fine = await later.connect({ lastEventId: recent!.id! })
    await waitForEvents([fine], 2)
    t.strictSame(dataOf(fine), ['7', '8'])
  })

  test('without the engine an app does not become ready, and says which it misses', async (t, engine) => {
    await engine.kill9()
    const failure = await startProcess(t, engine.backplane()).then(
      () => undefined,
      (error: Error) => error
    )
    t.match(failure, { code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE', statusCode: 503 })
    t.match(failure!.message, engine.name)
    t.match(failure!.message, String(engine.port))
  })

  test('an app that can do without serves its own events, and joins later', async (t, engine) => {
    const present = await startProcess(t, engine.backplane())
    await publish(present, 1, 3)
    await engine.kill9()
    const lone = await startProcess(t, engine.backplane({ optional: true }))
    await lone.log.waitFor(/cannot be joined/, LONG)
    const client = await lone.connect()
    t.notOk(lone.app.sse.ready)
    const local = await lone.app.sse.publish('local')
    t.match(await client.next(LONG), { data: '"local"', id: local })
    await engine.start()
    t.strictSame(resyncOf(await client.next(LONG)), { reason: 'backplane', missed: null })
    t.ok(lone.app.sse.ready)
    await present.log.waitFor(/is reached again/, LONG)
    await Promise.all([lone.app.sse.publish('from one'), present.app.sse.publish('from the other')])
    const heard = await present.connect()
    await present.app.sse.publish('end')
    await heard.until(({ data }) => data === '"end"', LONG)
    await client.until(({ data }) => data === '"end"', LONG)
    t.equal(dataOf(client)[0], '"local"')
    t.strictSame(dataOf(client).slice(1).sort(), ['"end"', '"from one"', '"from the other"'], 'and nothing of old')
  })

  test('an app that closes leaves no connection behind, whatever the engine does', async (t, engine) => {
    const before = await engine.countConnections()
    const [calm, hasty] = await startProcesses(t, engine, 2)
    await publish(calm, 1, 3)
    t.ok((await engine.countConnections()) > before)
    await calm.app.close()
    engine.freeze()
    t.teardown(() => engine.thaw())
    hasty.app.sse.broadcast('on its way')
    const from = performance.now()
    await hasty.app.close()
    t.ok(performance.now() - from < 4000, 'a frozen engine does not hold it up for long')
    engine.thaw()
    await eventually(async () => (await engine.countConnections()) === before, 'all connections are gone')
    await t.rejects(hasty.app.sse.publish(1), { code: 'PYLON_SSE_ERR_CLOSED' })
  })
}
