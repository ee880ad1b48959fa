import type { IncomingHttpHeaders } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Backplane, BackplaneListener, HistoryBounds, Parcel } from '../../lib/backplane/backplane.js'
import { MemoryEngine, memoryBackplane } from '../../lib/backplane/memory.js'
import type { PylonSseOptions } from '../../lib/index.js'
import { type Process, startProcess } from '../kit/backplane-faults.js'
import { parcels } from '../kit/backplane-listener.js'
import { Connections } from '../kit/connections.js'
import { deferred } from '../kit/deferred.js'
import type { EventReader } from '../kit/event-reader.js'
import { broadcastNumbers, numberOf, readUpTo, resyncOf } from '../kit/numbered.js'
import { KERNEL_HOLDS } from '../kit/slow-reader.js'

interface Page {
  events: { id: string; data: unknown }[]
  cursor: string
}

/** Two apps that share a log, as two processes do. */
async function startTwo(t: Test, sse?: PylonSseOptions): Promise<[Process, Process]> {
  const engine = new MemoryEngine()
  const start = () => startProcess(t, memoryBackplane(engine), sse)
  return [await start(), await start()]
}

/** A backplane that can be joined when the test says so, and is told nothing while it is deaf. */
class Unreliable {
  readonly engine = new MemoryEngine()
  readonly backplane: Backplane
  isThere = true
  #isDeaf = false
  #listener: BackplaneListener | undefined
  readonly #unheard: (() => void)[] = []

  constructor(optional = false) {
    const inner = memoryBackplane(this.engine, { optional })
    const join = async (bounds: HistoryBounds, listener: BackplaneListener) => {
      if (!this.isThere) throw new Error('nobody is there')
      this.#listener = listener
      return inner.join(bounds, {
        onGap: (joined) => listener.onGap(joined),
        onLoss: () => listener.onLoss(),
        onForeign: (cursor, reason) => listener.onForeign(cursor, reason),
        onState: (isConnected) => listener.onState(isConnected),
        onEntries: (entries) => {
          if (this.#isDeaf) this.#unheard.push(() => listener.onEntries(entries))
          else listener.onEntries(entries)
        }
      })
    }
    this.backplane = { ...inner, join }
  }

  /** As a backplane does whose engine has let go what was not read. */
  missAll(): void {
    const { entries } = this.engine
    entries.push(...parcels('data: "unread"\n\n').map((parcel) => ({ ...parcel, cursor: this.#next, at: Date.now() })))
    this.#listener!.onGap({ floor: entries.at(-1)!.cursor, history: [] })
  }

  /** As one does that reads an event, and in the same turn finds and reports a loss, after events of others. */
  readAndLose(): void {
    const { entries } = this.engine
    const listener = this.#listener!
    const [read, unread, after] = parcels('data: "read"\n\n', 'data: "unread"\n\n', 'data: "after"\n\n')
    const add = (parcel: Parcel) => entries.push({ ...parcel, cursor: this.#next, at: Date.now() })
    add(read!)
    listener.onEntries(entries.slice(-1))
    for (const parcel of [unread!, listener.onLoss(), after!]) add(parcel)
    listener.onGap({ floor: `${this.engine.epoch}-0`, history: [...entries] })
  }

  get #next(): string {
    return `${this.engine.epoch}-${this.engine.entries.length + 1}`
  }

  turnDeaf(): void {
    this.#isDeaf = true
  }

  hear(): void {
    this.#isDeaf = false
    for (const hear of this.#unheard.splice(0)) hear()
  }
}

async function page({ url }: Process, query: Record<string, string> = {}): Promise<{ status: number; body: Page }> {
  const response = await fetch(`${url}/events?${new URLSearchParams(query)}`, {
    headers: { accept: 'application/json' }
  })
  return { status: response.status, body: (await response.json()) as Page }
}

async function data(reader: EventReader, count: number): Promise<string[]> {
  return (await reader.take(count)).map((event) => event.data)
}

t.test('events broadcast on one process arrive on all, with the same id and in the same order', async (t) => {
  const [near, far] = await startTwo(t)
  const clients = [await near.connect(), await far.connect()]
  near.app.sse.broadcast(1, { event: 'named' })
  near.app.sse.broadcast(2, { id: 'own' })
  const first = await Promise.all(clients.map((client) => client.take(2)))
  far.app.sse.broadcastMessage('three')
  const second = await Promise.all(clients.map((client) => client.take(1)))
  for (const [i, here] of first.entries()) {
    t.match(here, [
      { event: 'named', data: '1' },
      { id: 'own', data: '2' }
    ])
    t.match(second[i], [{ event: undefined, data: 'three' }])
  }
  t.strictSame(clients[0]!.events, clients[1]!.events)
})

t.test('publish resolves with the id that all processes give the event', async (t) => {
  const [near, far] = await startTwo(t)
  const client = await far.connect()
  const ids = [
    await near.app.sse.publish(1),
    await far.app.sse.publish(2),
    await near.app.sse.publish(3, { id: 'own' })
  ]
  t.strictSame(
    (await client.take(3)).map(({ id }) => id),
    ids
  )
  t.equal(ids[2], 'own')
})

t.test('an event id of one process is valid on another, and on one started later', async (t) => {
  const engine = new MemoryEngine()
  const start = () => startProcess(t, memoryBackplane(engine))
  const [near, far] = [await start(), await start()]
  const client = await near.connect()
  for (const n of [1, 2, 3]) await near.app.sse.publish(n)
  const [first] = await client.take(3)
  await client.close()
  await far.app.sse.publish(4)
  for (const process of [far, near, await start()]) {
    const resumed = await process.connect({ lastEventId: first!.id! })
    t.strictSame(await data(resumed, 3), ['2', '3', '4'])
  }
})

t.test('when a loss is found, connected clients get the events read before, a resync, and later events', async (t) => {
  const unreliable = new Unreliable()
  const process = await startProcess(t, unreliable.backplane)
  const client = await process.connect()
  await process.app.sse.publish('first')
  await client.next()
  unreliable.readAndLose()
  await process.app.sse.publish('last')
  await client.until((event) => event.data === '"last"')
  t.strictSame(
    client.events.map((event) => resyncOf(event)?.reason ?? event.data),
    ['"first"', '"read"', 'backplane', '"after"', '"last"']
  )
})

t.test('topics and except apply on all processes', async (t) => {
  const [near, far] = await startTwo(t)
  const [subscriber, everyone] = [await far.connect({ query: { topic: 'a' } }), await far.connect()]
  const [one] = [...far.app.sse.clients].filter(({ topics }) => topics.includes('a'))
  near.app.sse.broadcast('of a', { topic: 'a' })
  near.app.sse.broadcast('not for one', { except: one!.id })
  near.app.sse.broadcast('end')
  t.strictSame(await data(subscriber, 2), ['"of a"', '"end"'])
  t.strictSame(await data(everyone, 2), ['"not for one"', '"end"'])
})

t.test('pages are the same on all processes, and a waiting one gets events of any process', async (t) => {
  const [near, far] = await startTwo(t)
  await near.app.sse.publish({ n: 1 })
  await turn()
  const { body } = await page(far)
  t.match(body.events, [{ data: { n: 1 } }])
  t.strictSame((await page(near)).body, body)
  const waiting = page(far, { since: body.cursor, wait: '10000' })
  await near.app.sse.publish({ n: 2 })
  t.match((await waiting).body.events, [{ data: { n: 2 } }])
})

t.test('a request repeated on another process publishes once', async (t) => {
  const [near, far] = await startTwo(t)
  const client = await far.connect()
  const post = async ({ url }: Process, events: object[]) => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'order-7' }
    const response = await fetch(`${url}/events`, { method: 'POST', headers, body: JSON.stringify(events) })
    return { status: response.status, body: (await response.json()) as { ids: string[] } }
  }
  const events = [{ data: 1 }, { data: 2 }]
  const answers = await Promise.all([post(near, events), post(far, events), post(far, events)])
  for (const answer of [...answers, await post(near, events)]) t.strictSame(answer, answers[0])
  t.equal(answers[0]!.status, 202)
  t.equal((await post(far, [{ data: 3 }])).status, 422, 'with other events the key is refused')
  await near.app.sse.publish('end')
  t.strictSame(await data(client, 3), ['1', '2', '"end"'])
})

t.test('an id that is taken on one process is taken on all', async (t) => {
  const [near, far] = await startTwo(t)
  const results = await Promise.allSettled([near, far].map(({ app }) => app.sse.publish(1, { id: 'own' })))
  t.strictSame(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  for (const { app } of [near, far]) {
    await t.rejects(app.sse.publish(1, { id: 'own' }), { code: 'PYLON_SSE_ERR_DUPLICATE_ID' })
  }
  const taken = await near.app.sse.publish(2)
  await t.rejects(far.app.sse.publish(1, { id: taken }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
})

t.test('a user is disconnected on whichever process, and can be told to stay away', async (t) => {
  const asUser = (user: string): { headers: IncomingHttpHeaders & Record<string, string> } => ({
    headers: { 'x-user': user }
  })
  const [near, far] = await startTwo(t)
  const [here, there] = [await near.connect(asUser('ann')), await far.connect(asUser('ann'))]
  const other = await far.connect(asUser('eve'))
  t.equal(near.app.sse.disconnect({ state: { user: 'ann' } }, { reconnect: false }), 1, 'as many as were here')
  await Promise.all([here.waitForEnd(), there.waitForEnd()])
  t.equal(there.lastEventId, here.lastEventId)
  t.equal((await far.connect({ lastEventId: there.lastEventId })).status, 204, 'it is told not to come back')
  await near.app.sse.publish('still here')
  t.strictSame(await data(other, 1), ['"still here"'])
  // @ts-expect-error it names no field
  t.throws(() => near.app.sse.disconnect({}), { code: 'PYLON_SSE_ERR_INVALID_SELECTOR' })
  t.equal(
    far.app.sse.disconnect(() => true),
    1,
    'a function picks on its own process'
  )
})

t.test('an app exposes the state of its backplane', async (t) => {
  const [near] = await startTwo(t)
  t.strictSame(near.app.sse.stats().backplane, {
    name: 'memory',
    connected: true,
    pending: 0,
    lost: 0,
    foreign: 0,
    lag: null
  })
  t.ok(near.app.sse.ready)
  const published = near.app.sse.publish(1)
  t.match(near.app.sse.stats().backplane, { pending: 1 })
  await published
  await turn()
  const { pending, lag } = near.app.sse.stats().backplane!
  t.equal(pending, 0)
  t.ok(lag !== null && lag >= 0)
  await near.app.close()
  t.notOk(near.app.sse.ready)
  t.notOk(near.app.sse.stats().backplane!.connected)
})

t.test('with optional: true an app starts without the engine, serves its own events, and joins later', async (t) => {
  const unreliable = new Unreliable(true)
  unreliable.isThere = false
  const lone = await startProcess(t, unreliable.backplane)
  const other = await startProcess(t, memoryBackplane(unreliable.engine))
  t.notOk(lone.app.sse.ready)
  const client = await lone.connect({ headers: { 'x-user': 'ann' } })
  const local = await lone.app.sse.publish('local')
  t.match(await client.next(), { id: local, data: '"local"' })
  t.equal(lone.app.sse.disconnect({ state: { user: 'nobody' } }), 0)
  await other.app.sse.publish('elsewhere')
  const waiting = page(lone, { since: local, wait: '10000' })
  unreliable.isThere = true
  const resync = await client.next()
  t.strictSame(resyncOf(resync), { reason: 'backplane', missed: null })
  t.ok(lone.app.sse.ready)
  t.equal((await waiting).status, 410, 'nor can a page go on from a place of its own')
  const shared = await other.app.sse.publish('shared')
  t.match(await client.next(), { id: shared, data: '"shared"' }, 'and nothing of old')
  t.strictSame(
    (await page(lone, { since: resync.id! })).body.events.map(({ id }) => id),
    [shared],
    'the resync has told a cursor of the log that they share'
  )
  t.equal(lone.app.sse.stats().resyncs.backplane, 1)
})

t.test('a gap is told to live clients, to waiting pages and to stuck clients', async (t) => {
  const unreliable = new Unreliable()
  const process = await startProcess(t, unreliable.backplane)
  const [live, stuck] = [await process.connect(), await process.connect({ stuckBefore: 'body' })]
  const BIG = 64 * 1024
  const fill = KERNEL_HOLDS.tcp / BIG + 20
  broadcastNumbers(process.app, 1, fill, BIG)
  await readUpTo(live, fill)
  const waiting = page(process, { since: live.lastEventId, wait: '10000' })
  const arrived = deferred()
  process.app.server.once('request', () => arrived.resolve())
  await arrived.promise
  await turn()
  unreliable.missAll()
  t.strictSame(resyncOf(await live.next()), { reason: 'backplane', missed: null })
  t.equal((await waiting).status, 410)
  broadcastNumbers(process.app, fill + 1, fill + 1)
  stuck.resume()
  const seen: unknown[] = []
  await stuck.until((event) => {
    seen.push(resyncOf(event)?.reason ?? numberOf(event))
    return numberOf(event) === fill + 1
  })
  t.strictSame(seen.slice(-2), ['backplane', fill + 1], 'it is told once it reads on')
  t.ok(seen.length < fill)
  await readUpTo(live, fill + 1)
  const [resync] = stuck.events.filter(resyncOf)
  t.equal(resync!.id, live.events.find(resyncOf)!.id)
})

t.test('a repeated request is recognized while the app has not joined its engine', async (t) => {
  const unreliable = new Unreliable(true)
  unreliable.isThere = false
  const lone = await startProcess(t, unreliable.backplane)
  const post = async () => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'order-7' }
    const response = await fetch(`${lone.url}/events`, { method: 'POST', headers, body: '[{"data":1}]' })
    return response.json()
  }
  t.strictSame(await post(), await post())
  t.equal(lone.app.sse.stats().events, 1)
})

t.test('a client that is ahead of a process is served once the process has caught up', async (t) => {
  const behind = new Unreliable()
  const near = await startProcess(t, memoryBackplane(behind.engine))
  const far = await startProcess(t, behind.backplane)
  await near.app.sse.publish(1)
  behind.turnDeaf()
  const lastEventId = await near.app.sse.publish(2)
  const arrived = deferred()
  far.app.server.once('request', () => arrived.resolve())
  const [opening, paging] = [far.connect({ lastEventId }), page(far, { since: lastEventId })]
  await arrived.promise
  await near.app.sse.publish(3)
  behind.hear()
  const client = await opening
  t.strictSame(await data(client, 1), ['3'])
  t.match(await paging, { status: 200 })
})

t.test('a client with an id that no process has read is served after two seconds, with a resync', async (t) => {
  const [near, far] = await startTwo(t)
  await near.app.sse.publish(1)
  const from = performance.now()
  const last = await near.app.sse.publish(2)
  await turn()
  const client = await far.connect({ lastEventId: last.replace(/-2-/, '-7-') })
  t.ok(performance.now() - from > 1900)
  t.strictSame(resyncOf(await client.next()), { reason: 'unknown', missed: null })
  await near.app.sse.publish(3)
  t.strictSame(await data(client, 1), ['3'])
})

t.test('a client that waits for a process to catch up does not delay closing', async (t) => {
  const behind = new Unreliable()
  const near = await startProcess(t, memoryBackplane(behind.engine))
  const far = await startProcess(t, behind.backplane)
  behind.turnDeaf()
  const lastEventId = await near.app.sse.publish(1)
  const arrived = deferred()
  far.app.server.once('request', () => arrived.resolve())
  const opening = far.connect({ lastEventId })
  await arrived.promise
  const from = performance.now()
  await far.app.close()
  const refused = await opening
  await refused.waitForEnd()
  t.match(refused.body, /^retry: \d+\n+$/)
  t.ok(performance.now() - from < 1500)
})

t.test('events that onDisconnect publishes while an app closes reach the other processes', async (t) => {
  const engine = new MemoryEngine()
  const near = await startProcess(t, memoryBackplane(engine))
  const leaving = await startProcess(t, memoryBackplane(engine), {
    onDisconnect: (client) => leaving.app.sse.broadcast(`${client.state.user} has left`)
  })
  const client = await near.connect()
  await leaving.connect({ headers: { 'x-user': 'ann' } })
  await leaving.app.close()
  t.strictSame(await data(client, 1), ['"ann has left"'])
  await t.rejects(leaving.app.sse.publish(1), { code: 'PYLON_SSE_ERR_CLOSED' })
})

t.test('a client that is closed while others are told of a gap is not told', async (t) => {
  const unreliable = new Unreliable()
  const process = await startProcess(t, unreliable.backplane)
  const connections = new Connections(process.app)
  const told = await process.connect()
  const closed = await process.connect()
  const [, other] = process.app.sse.clients
  const [socket] = connections.sockets
  const { write } = socket!
  socket!.write = (...args: unknown[]) => {
    other!.close()
    return Reflect.apply(write, socket!, args)
  }
  unreliable.missAll()
  t.match(resyncOf(await told.next()), { reason: 'backplane' })
  await closed.waitForEnd()
  t.strictSame(closed.events, [])
  t.equal(process.app.sse.stats().resyncs.backplane, 1)
})
