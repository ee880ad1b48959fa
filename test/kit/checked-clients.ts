// Clients whose events are checked against a naive log.

import assert from 'node:assert/strict'
import type { FastifyInstance } from 'fastify'
import type { Bounds, NaiveLog, SentEvent, Verdict } from './naive-log.js'
import { resyncOf } from './numbered.js'
import { PATIENCE } from './patience.js'
import type { Served } from './server.js'
import type { SseClient } from './sse-client.js'

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

export class CheckedClients {
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
function check({ log, bounds }: CheckedClients, { client, shown, verdicts, heads, mayFallBehind }: Connection): number {
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
