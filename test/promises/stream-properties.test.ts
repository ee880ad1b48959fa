import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { ResyncReason } from '../../lib/index.js'
import { resyncOf } from '../kit/numbered.js'
import { PATIENCE } from '../kit/patience.js'
import { type Served, serve } from '../kit/server.js'
import type { SseClient } from '../kit/sse-client.js'

interface Bounds {
  events: number
  bytes: number
  queueDepth: number
  overflow: 'drop-oldest' | 'disconnect'
  shards: number
}

interface SentEvent {
  size: number
  name: string | undefined
  ownId: boolean
}

type Verdict = 'within reach' | 'expired' | 'unknown'

/** What clients are entitled to, as one would write it without a thought for speed. */
class NaiveLog {
  /** Every event ever broadcast; the one of number n at n - 1. */
  readonly all: { id: string; event: string | undefined; data: string; bytes: number }[] = []
  /** Number of the oldest that is still held. */
  oldest = 1
  readonly epoch: string
  readonly #bounds: Bounds

  constructor(epoch: string, bounds: Bounds) {
    this.epoch = epoch
    this.#bounds = bounds
  }

  get head(): number {
    return this.all.length
  }

  get size(): number {
    return this.head - this.oldest + 1
  }

  get bytes(): number {
    return this.all.slice(this.oldest - 1).reduce((sum, { bytes }) => sum + bytes, 0)
  }

  append(id: string, event: string | undefined, data: string): void {
    const bytes = Buffer.byteLength(
      `: text\nid: ${id}\n${event === undefined ? '' : `event: ${event}\n`}data: ${data}\n\n`
    )
    this.all.push({ id, event, data, bytes })
    const { events, bytes: maxBytes, queueDepth } = this.#bounds
    const tooMuch = () => this.size > Math.max(events, queueDepth) || this.bytes > maxBytes
    while (this.size > 1 && tooMuch()) this.oldest++
  }

  /** The number of the event that has this id, or had it. */
  numberOf(id: string): number {
    const own = this.all.findIndex((event) => event.id === id)
    return own === -1 ? Number(id.slice(this.epoch.length + 1)) : own + 1
  }

  /** What becomes of a client that comes back with this id. */
  judge(id: string): Verdict {
    const number = this.numberOf(id)
    if (!id.startsWith(this.epoch) && number < this.oldest) return 'unknown'
    return number < this.oldest - 1 || this.head - number > this.#bounds.events ? 'expired' : 'within reach'
  }
}

interface Connection {
  client: SseClient
  /** The id it showed. */
  shown: string | undefined
  verdicts: Verdict[]
  /** The head of the log before and after it came. */
  heads: [number, number]
  /** Whether it may have been slow: paused, or given more at once than its connection takes. */
  mayFallBehind: boolean
  /** Events and bytes it may not have read yet. */
  unread: { events: number; bytes: number }
}

/** Of a unix socket, which takes some 200 KiB, and fewer the smaller the writes. */
const SURELY_TAKEN = { events: 60, bytes: 60_000 }

class World {
  readonly served: Served
  readonly log: NaiveLog
  readonly bounds: Bounds
  readonly connections = new Map<number, Connection>()
  /** What each would show if it came back. */
  readonly lastIds = new Map<number, string>()

  constructor(served: Served, log: NaiveLog, bounds: Bounds) {
    this.served = served
    this.log = log
    this.bounds = bounds
  }

  get app(): FastifyInstance {
    return this.served.app
  }

  broadcast(events: SentEvent[]): void {
    for (const { size, name, ownId } of events) {
      const number = this.log.head + 1
      const own = ownId ? `order ${number}` : undefined
      const data = `${number} ${'x'.repeat(size)}`
      this.app.sse.broadcastMessage(data, { event: name, id: own })
      this.log.append(own ?? `${this.log.epoch}-${number}`, name, data)
      for (const connection of this.connections.values()) count(connection, 1, size + 100)
    }
  }

  async connect(who: number, meanwhile: SentEvent[] = []): Promise<void> {
    const shown = this.lastIds.get(who)
    const verdicts = () => (shown === undefined ? [] : [this.log.judge(shown)])
    const head = this.log.head
    const before = verdicts()
    const opening = this.served.connect(shown === undefined ? {} : { lastEventId: shown })
    this.broadcast(meanwhile)
    const client = await opening
    const connection: Connection = {
      client,
      shown,
      verdicts: [...before, ...verdicts()],
      heads: [head, this.log.head],
      mayFallBehind: false,
      unread: { events: 0, bytes: 0 }
    }
    if (shown !== undefined) count(connection, this.log.size, this.log.bytes)
    this.connections.set(who, connection)
  }

  /** Ends with what it has got until then, which is checked. */
  async disconnect(who: number): Promise<void> {
    const connection = this.connections.get(who)
    if (connection === undefined) return
    this.connections.delete(who)
    await connection.client.abort()
    const { client } = connection
    check(this, connection)
    if (client.ids.length > 0) this.lastIds.set(who, client.lastEventId)
  }

  /** It reads all there is; comes back as often as it must. */
  async catchUp(who: number): Promise<void> {
    for (let attempts = 0; attempts < 20; attempts++) {
      if (!this.connections.has(who)) await this.connect(who)
      const connection = this.connections.get(who)!
      this.broadcast([{ size: 0, name: undefined, ownId: false }])
      const newest = this.log.all.at(-1)!
      connection.client.resume()
      const reading = connection.client.until(({ data }) => data === newest.data, PATIENCE / 2)
      if (this.bounds.overflow === 'drop-oldest') await reading
      else await reading.catch((error) => connection.client.isClosed || assert.fail(error))
      if (!connection.client.isClosed) {
        assert.equal(check(this, connection), this.log.head)
        connection.unread = { events: 0, bytes: 0 }
        return
      }
      assert.ok(connection.mayFallBehind, 'a client that reads has been cut')
      await this.disconnect(who)
    }
    assert.fail('a client that reads is cut again and again')
  }
}

function count(connection: Connection, events: number, bytes: number): void {
  const { unread } = connection
  unread.events += events
  unread.bytes += bytes
  if (unread.events > SURELY_TAKEN.events || unread.bytes > SURELY_TAKEN.bytes) connection.mayFallBehind = true
}

/** Goes through what a connection has got, event by event. Returns the number up to which it is informed. */
function check({ log, bounds }: World, { client, shown, verdicts, heads, mayFallBehind }: Connection): number {
  const [, firstId] = /^: connected\n(?:id: (.*)\n)?event: connected\n/.exec(client.body) ?? []
  const events = [...client.events]
  let at: number
  if (firstId === undefined) {
    if (!client.body.startsWith(': connected\n')) return Number.NaN
    assert.ok(
      verdicts.some((verdict) => verdict !== 'within reach'),
      `${shown} has been within reach`
    )
    const first = events.shift()
    if (first === undefined) return Number.NaN
    const resync = resyncOf(first)
    assert.ok(resync, 'the first event says what was missed')
    at = log.numberOf(first.id!)
    if (new Set(verdicts).size === 1) assert.equal(resync.reason, verdicts[0])
    assert.equal(resync.missed, resync.reason === 'expired' ? at - log.numberOf(shown!) : null)
  } else {
    at = log.numberOf(firstId)
    if (shown === undefined) assert.ok(at >= heads[0] && at <= heads[1], `came in at ${at}, not within ${heads}`)
    else assert.deepEqual([at, verdicts[0]], [log.numberOf(shown), 'within reach'], `${shown} is resumed`)
  }
  for (const event of events) {
    const resync = resyncOf(event)
    if (resync === undefined) {
      const { id, data, event: name } = log.all[at] ?? {}
      assert.deepEqual(event, { id, event: name, data }, `after ${at}`)
      at++
      continue
    }
    assert.equal(resync.reason, 'overflow')
    assert.ok(mayFallBehind, 'a client that reads has lost events')
    assert.equal(bounds.overflow, 'drop-oldest')
    assert.ok(resync.missed! > 0)
    at += resync.missed!
    assert.equal(event.id, `${log.epoch}-${at}`, 'the id of a resync is where it leaves the client')
  }
  return at
}

const CLIENTS = [0, 1, 2]
const who = fc.constantFrom(...CLIENTS)
const event: fc.Arbitrary<SentEvent> = fc.record({
  size: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 100 }) },
    { weight: 2, arbitrary: fc.integer({ min: 1000, max: 70_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 100_000, max: 300_000 }) }
  ),
  name: fc.constantFrom(undefined, undefined, 'named', '名前'),
  ownId: fc.boolean()
})
const burst = fc.array(event, { minLength: 1, maxLength: 15, size: 'max' })
const small = fc.array(
  event.map((event) => ({ ...event, size: event.size % 100 })),
  { maxLength: 5 }
)

type Step =
  | { do: 'broadcast'; events: SentEvent[] }
  | { do: 'turn' }
  | { do: 'come'; who: number; meanwhile: SentEvent[] }
  | { do: 'pause' | 'read on' | 'be cut' | 'catch up'; who: number }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('broadcast'), events: burst }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('broadcast'), events: small }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('turn') }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('come'), who, meanwhile: small }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('pause', 'read on', 'be cut', 'catch up'), who }) }
)

async function perform(world: World, step: Step): Promise<void> {
  if (step.do === 'broadcast') return world.broadcast(step.events)
  if (step.do === 'turn') return turn()
  const connection = world.connections.get(step.who)
  if (step.do === 'come') {
    if (connection === undefined) await world.connect(step.who, step.meanwhile)
  } else if (step.do === 'catch up') {
    await world.catchUp(step.who)
  } else if (step.do === 'be cut') {
    await world.disconnect(step.who)
  } else if (step.do === 'read on') {
    connection?.client.resume()
  } else if (connection !== undefined) {
    connection.mayFallBehind = true
    connection.client.pause()
  }
}

const bounds: fc.Arbitrary<Bounds> = fc.record({
  events: fc.integer({ min: 1, max: 40 }),
  bytes: fc.constantFrom(2000, 100_000, 1_000_000),
  queueDepth: fc.integer({ min: 1, max: 40 }),
  overflow: fc.constantFrom('drop-oldest', 'drop-oldest', 'disconnect'),
  shards: fc.integer({ min: 1, max: 3 })
})

t.test(
  'whatever is broadcast, however clients stall, are cut and come back: each later event once, in order, or a resync in its place',
  async (t) => {
    const resyncs = { overflow: 0, expired: 0, unknown: 0, backplane: 0 }
    const property = fc.asyncProperty(
      bounds,
      fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }),
      async (bounds, steps) => {
        const { events, bytes, ...rest } = bounds
        const served = await serve(t, { transport: 'unix', sse: { history: { events, bytes }, ...rest } })
        const { app } = served
        try {
          const probe = await served.connect()
          const epoch = (await probe.waitForId()).split('-')[0]!
          await probe.close()
          const world = new World(served, new NaiveLog(epoch, bounds), bounds)
          for (const step of steps) await perform(world, step)
          for (const who of CLIENTS) await world.catchUp(who)
          for (const [reason, count] of Object.entries(app.sse.stats().resyncs))
            resyncs[reason as ResyncReason] += count
          for (const who of CLIENTS) await world.disconnect(who)
        } finally {
          await app.close()
        }
      }
    )
    await fc.assert(property, { numRuns: 60, interruptAfterTimeLimit: 12_000 })
    t.ok(resyncs.overflow && resyncs.expired && resyncs.unknown, JSON.stringify(resyncs))
  }
)
