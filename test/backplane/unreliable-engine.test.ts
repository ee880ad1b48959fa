import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { Backplane, BackplaneListener, HistoryBounds, Parcel } from '../../lib/backplane/backplane.js'
import { MemoryEngine, memoryBackplane } from '../../lib/backplane/memory.js'
import { parcels } from '../kit/backplane-listener.js'
import { Connections } from '../kit/connections.js'
import { deferred } from '../kit/deferred.js'
import { broadcastNumbers, numberOf, readUpTo, resyncOf } from '../kit/numbered.js'
import { startProcess } from '../kit/processes.js'
import { KERNEL_HOLDS } from '../kit/slow-reader.js'
import { data, page, startTwo } from '../kit/two-processes.js'

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
