// A client without a socket, beside a naive model of what is due to it.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type Audience, Audiences, type Cohort } from '../../lib/log/audience.js'
import type { EventChunk } from '../../lib/log/chunk.js'
import { Cursor, type CursorContext } from '../../lib/log/cursor.js'
import type { LogEntry } from '../../lib/log/log-entry.js'
import { LogReader } from '../../lib/log/log-reader.js'
import { FilledLog } from './filled-log.js'
import { hears } from './topic-model.js'

/** What a client needs of its hub and its shard, without sockets. It is a shard of its own. */
export class StubShard {
  readonly log: FilledLog
  readonly audiences = new Audiences()
  readonly context: CursorContext
  readonly clients: StubClient[] = []
  /** The newest event that all have been offered. */
  #offered = 0
  #allTouched = false

  constructor({ events = 1_000_000, queueDepth = 3 } = {}) {
    this.log = new FilledLog([], events)
    const reader = new LogReader(this.log, this.audiences.everyone)
    this.context = { log: this.log, reader, audiences: this.audiences, queueDepth }
  }

  join(subscriptions: string[], seq = this.log.head): StubClient {
    const client = new StubClient(this, subscriptions, seq)
    this.clients.push(client)
    return client
  }

  /** @param except the client who does not hear it, by its place */
  broadcast(topic?: string, size = 20, except?: number): void {
    // As the hub does: what leaves the log has been offered to everyone.
    if (this.log.oldestAfter(size) - 1 > this.#offered) this.flush()
    const spared = except === undefined ? undefined : this.clients[except]
    const entry = this.log.add(size, topic, spared?.id)
    spared?.cursor.spare(entry)
    if (topic === undefined) this.#allTouched = true
    else for (const audience of this.audiences.of(topic)) audience.hear(entry)
    for (const client of this.clients) client.expect(entry)
  }

  flush(): void {
    for (const client of this.clients) if (this.#allTouched || client.isTouched) client.advance()
    this.#allTouched = false
    this.#offered = this.log.head
  }
}

interface Due {
  seq: number
  topic: string | undefined
  /** What the client subscribed to when the event came. Changes when it unsubscribes. */
  subscriptions: Set<string>
}

/** A client beside a naive model of it: the list of what is due to it. */
class StubClient implements Cohort {
  readonly id = randomUUID()
  readonly cursor: Cursor
  isTouched = false
  isReading = false
  isBlocked = false
  due: Due[] = []
  #subscriptions: Set<string>
  /** All that its events subscribe by. */
  readonly #everHeld: Set<string>[] = []
  #mark: number | undefined
  #missed = 0
  readonly #setup: StubShard
  #audience: Audience

  constructor(setup: StubShard, subscriptions: string[], seq: number) {
    this.#setup = setup
    this.#subscriptions = new Set(subscriptions)
    this.#everHeld.push(this.#subscriptions)
    this.#audience = setup.audiences.hold(subscriptions)
    this.cursor = new Cursor(setup.context, this.id, this.#audience, seq)
    this.#audience.join(this)
    for (const entry of setup.log.all.slice(seq)) this.expect(entry)
    this.check()
  }

  touch(): void {
    this.isTouched = true
  }

  expect({ seq, topic, except }: LogEntry): void {
    const subscriptions = this.#subscriptions
    if (except !== this.id && hears(subscriptions, topic)) this.due.push({ seq, topic, subscriptions })
  }

  get overdue(): number {
    if (this.#mark === undefined) return 0
    return Math.max(0, this.due.filter(({ seq }) => seq > this.#mark!).length - this.#setup.context.queueDepth)
  }

  check(): void {
    const { cursor } = this
    assert.equal(cursor.lag, this.due.length, 'lag')
    assert.equal(cursor.overdue, this.overdue, 'overdue')
    assert.deepEqual(cursor.audience.patterns, [...this.#subscriptions].sort())
  }

  advance(): void {
    if (this.isReading && !this.isBlocked) this.read()
    if (!this.isTouched) return
    this.isTouched = false
    this.#audience.settle()
  }

  /** Reads all there is, or so many chunks, whereupon its socket is full. */
  read(chunks = Number.POSITIVE_INFINITY, limit = this.#setup.log.head): void {
    this.dropOldest()
    for (let left = chunks; left > 0; left--) {
      const chunk = this.next(limit)
      if (chunk === undefined) {
        assert.deepEqual(
          this.due.filter(({ seq }) => seq <= limit),
          []
        )
        // As for an event to it alone: the rest comes after.
        if (limit < this.#setup.log.head) this.read(left)
        return
      }
    }
    this.block()
  }

  /** Reads as for an event to it alone, so many events before the head. */
  readSome(chunks: number, short: number): void {
    this.read(chunks, Math.max(this.cursor.seq, this.#setup.log.head - short))
  }

  next(limit = this.#setup.log.head): EventChunk | undefined {
    const chunk = this.cursor.next(limit)
    if (chunk === undefined) {
      if (limit === this.#setup.log.head) this.#mark = undefined
      return undefined
    }
    const read = this.due.splice(0, chunk.entries.length)
    assert.deepEqual(
      chunk.entries.map(({ seq }) => seq),
      read.map(({ seq }) => seq)
    )
    assert.ok(chunk.to <= limit && this.cursor.seq === chunk.to)
    this.check()
    return chunk
  }

  block(): void {
    this.cursor.pause()
    this.isBlocked = true
    this.#mark ??= this.#setup.log.head
    this.check()
  }

  drain(): void {
    this.isBlocked = false
    if (this.isReading) this.read()
  }

  dropOldest(): number {
    this.#loseEvicted()
    const { queueDepth } = this.#setup.context
    if (this.overdue > 0) this.#lose(this.due.length - queueDepth)
    const missed = this.cursor.dropOldest()
    assert.equal(missed, this.#missed, 'missed')
    this.#missed = 0
    const next = this.due[0]?.seq ?? Number.POSITIVE_INFINITY
    assert.ok(this.cursor.seq < next, `goes on from ${this.cursor.seq} to ${next}`)
    this.check()
    return missed
  }

  /** From the next event on, or from the cursor on, where it has not begun to read. */
  subscribe(pattern: string): void {
    this.#loseEvicted()
    this.#subscriptions = new Set(this.#subscriptions).add(pattern)
    this.#everHeld.push(this.#subscriptions)
    const audience = this.#setup.audiences.hold(this.#subscriptions)
    this.cursor.subscribe(audience, this.isReading ? undefined : this.cursor.seq)
    this.#setup.audiences.release(audience)
    if (!this.isReading) {
      this.due = []
      for (const entry of this.#setup.log.all.slice(this.cursor.seq)) this.expect(entry)
    }
    this.#move()
  }

  unsubscribe(pattern: string): void {
    this.#loseEvicted()
    for (const held of this.#everHeld) held.delete(pattern)
    this.due = this.due.filter(({ subscriptions, topic }) => hears(subscriptions, topic))
    this.cursor.unsubscribe(pattern)
    this.#move()
  }

  leave(): void {
    this.#audience.leave(this)
    this.#setup.audiences.release(this.#audience)
    this.cursor.release()
  }

  #move(): void {
    this.isTouched = false
    this.#audience.leave(this)
    this.#setup.audiences.release(this.#audience)
    this.#audience = this.#setup.audiences.retain(this.cursor.audience)
    this.#audience.join(this)
    this.check()
    if (this.isReading && !this.isBlocked) this.read()
  }

  #loseEvicted(): void {
    this.#lose(this.due.filter(({ seq }) => seq < this.#setup.log.oldest).length)
  }

  #lose(events: number): void {
    this.due.splice(0, events)
    this.#missed += events
  }
}

export function start(client: StubClient): StubClient {
  client.isReading = true
  client.read()
  return client
}
