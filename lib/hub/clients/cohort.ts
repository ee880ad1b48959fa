// The clients of one audience in a shard, and the place in the log that the live ones share. Which cohorts a flush visits is
// decided in shard.ts.

import type { Audience, Cohort } from '../../log/audience.js'
import type { EventChunk } from '../../log/chunk.js'
import type { EventStream } from '../../wire/stream.js'
import type { Client } from './client.js'
import type { CohortContext, Home } from './client-context.js'

/** The shard of a cohort, as the cohort sees it. */
export interface CohortOwner {
  /** Requests a flush of the cohort. */
  touch(cohort: ShardCohort): void
  /** Called when a client has left the cohort. */
  left(cohort: ShardCohort): void
}

/**
 * The clients of one audience in a shard. The *live* ones have received all of their events up to the same place in the log; a
 * flush writes the same bytes to each of them. The others catch up, each with a cursor of its own.
 */
export class ShardCohort implements Cohort, Home {
  readonly audience: Audience
  readonly #owner: CohortOwner
  readonly #source: CohortContext
  /** The live clients. Each has its index as `liveIndex`. */
  readonly #live: Client[] = []
  /** Their streams, by the same index. A flush reads nothing else: the memory of a client is far away and no longer cached. */
  readonly #streams: EventStream[] = []
  /** Number of live clients for which an event may be the last one. */
  #awaitingLast = 0
  /** The clients that catch up. */
  readonly #behind = new Set<Client>()
  /** `seq` up to which the live clients have received everything. */
  #seq = 0
  #told = 0
  /** The chunk that is being written to the live clients, and how many have received it: those with the lowest indexes. */
  #chunk: EventChunk | undefined
  #offered = 0
  /** Whether an event of the audience's topics waits for the next flush. */
  isTouched = false

  constructor(owner: CohortOwner, audience: Audience, source: CohortContext) {
    this.#owner = owner
    this.audience = audience
    this.#source = source
  }

  /** Number of clients. */
  get size(): number {
    return this.#live.length + this.#behind.size
  }

  /** A list of the clients. It does not change with them. */
  get clients(): readonly Client[] {
    return [...this.#live, ...this.#behind]
  }

  /** The clients that catch up. */
  get behind(): Iterable<Client> {
    return this.#behind
  }

  /** Some live clients, `max` at most. */
  someLive(max: number): readonly Client[] {
    return this.#live.slice(0, max)
  }

  /** Visits the live clients backwards: when one leaves, a later one takes its index, and that one has been visited already. */
  *[Symbol.iterator](): Generator<Client> {
    const live = this.#live
    for (let i = live.length - 1; i >= 0; i--) {
      const client = live[i]
      if (client !== undefined) yield client
    }
    yield* this.#behind
  }

  /** Number of events that the slowest client has yet to receive. */
  get slowestLag(): number {
    let slowest = 0
    for (const { lag } of this.isSettled ? this.#behind : this) slowest = Math.max(slowest, lag)
    return slowest
  }

  /** Whether the live clients have received all of their events. */
  get isSettled(): boolean {
    if (this.#chunk !== undefined) return false
    const { pending, hearsTopicless } = this.audience
    const newest = pending.at(-1)
    if (newest !== undefined && newest.seq > this.#seq) return false
    return !hearsTopicless || this.#source.log.lastTopicless <= this.#seq
  }

  get told(): number {
    return this.#told
  }

  /** Adds a client, which has to catch up. */
  add(client: Client): void {
    this.#behind.add(client)
    client.settleIn(this)
  }

  leave(client: Client): void {
    if (!this.#behind.delete(client)) this.#removeLive(client.liveIndex)
    this.#owner.left(this)
  }

  /** @returns false if the live clients have yet to receive what this one has; the next flush makes it live */
  makeLive(client: Client, told: number): boolean {
    if (this.#chunk !== undefined || (this.#live.length > 0 && !this.isSettled)) return false
    this.#seq = this.#source.log.head
    // It was not sent what the others were, and one value has to hold for all.
    if (told < this.#told) this.#told = 0
    this.#behind.delete(client)
    client.liveIndex = this.#live.length
    this.#live.push(client)
    this.#streams.push(client.stream)
    if (client.awaitsLast) this.#awaitingLast++
    return true
  }

  fallBehind(client: Client): number {
    const seq = this.#seqOf(client)
    this.#removeLive(client.liveIndex)
    this.#behind.add(client)
    return seq
  }

  lagOf(client: Client): number {
    return this.isSettled ? 0 : this.#source.reader.count(this.audience, this.#seqOf(client), client.id)
  }

  touch(): void {
    if (this.isTouched) return
    this.isTouched = true
    this.#owner.touch(this)
  }

  /** Writes to the clients what the log has for them. */
  flush(now: number): void {
    this.isTouched = false
    // A flush may start within another one, when a broadcast within a write is about to evict events.
    this.#offerOn(now)
    while (this.#live.length > 0 && !this.isSettled) {
      this.#chunk = this.#source.reader.news(this.audience, this.#seq)
      // The event has been evicted already.
      if (this.#chunk === undefined) this.#seq = this.#source.log.head
      else this.#offerOn(now)
    }
    for (const client of this.#behind) client.advance(now)
    this.audience.settle()
  }

  /** Writes the chunk to the live clients that have not received it. Clients may leave meanwhile. */
  #offerOn(now: number): void {
    const live = this.#live
    while (this.#chunk !== undefined && this.#offered < live.length) {
      const index = this.#offered++
      if (this.#chunk.hasExcepts || this.#awaitingLast > 0) live[index]!.take(this.#chunk, now)
      else this.#write(index, this.#chunk, now)
    }
    if (this.#chunk !== undefined) {
      this.#seq = this.#chunk.to
      if (!this.#chunk.hasExcepts) this.#told = this.#chunk.entries.at(-1)!.seq
    }
    this.#chunk = undefined
    this.#offered = 0
  }

  #write(index: number, chunk: EventChunk, now: number): void {
    const { counters } = this.#source
    counters.deliveries += chunk.entries.length
    counters.bytes += chunk.size
    // Taken before the write, in which other clients may leave.
    const client = this.#live[index]!
    if (!this.#streams[index]!.write(chunk, now)) client.block()
  }

  /** `seq` up to which a live client has received everything. */
  #seqOf({ liveIndex }: Client): number {
    if (this.isSettled) return this.#source.log.head
    return this.#chunk !== undefined && liveIndex < this.#offered ? this.#chunk.to : this.#seq
  }

  #removeLive(index: number): void {
    if (this.#live[index]!.awaitsLast) this.#awaitingLast--
    let free = index
    if (free < this.#offered) {
      // The clients that have received the chunk stay at the lowest indexes: the last of them fills the gap, and the last
      // of all takes its index.
      this.#offered--
      this.#move(this.#offered, free)
      free = this.#offered
    }
    this.#move(this.#live.length - 1, free)
    this.#live.pop()
    this.#streams.pop()
  }

  #move(from: number, to: number): void {
    if (from === to) return
    const client = this.#live[from]!
    this.#live[to] = client
    this.#streams[to] = client.stream
    client.liveIndex = to
  }
}
