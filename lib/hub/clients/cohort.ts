// The clients of one audience in a shard, and the place in the log that the live ones share. Which cohorts a flush visits is
// decided in shard.ts.

import type { Audience, Cohort } from '../../log/audience.js'
import type { EventChunk } from '../../log/chunk.js'
import type { Client } from './client.js'
import type { Home, Source } from './client-context.js'

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
  readonly #source: Pick<Source, 'log' | 'reader'>
  /** The live clients. `place` of each is its index. */
  readonly #live: Client[] = []
  /** The clients that catch up. */
  readonly #behind = new Set<Client>()
  /** `seq` up to which the live clients have received everything. */
  #seq = 0
  /** The chunk that is being written to the live clients, and how many have received it: those with the lowest indexes. */
  #chunk: EventChunk | undefined
  #offered = 0
  /** Whether an event of the audience's topics waits for the next flush. */
  isTouched = false

  constructor(owner: CohortOwner, audience: Audience, source: Pick<Source, 'log' | 'reader'>) {
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

  /** Visits the live clients from the last index to the first: a client that is moved to a freed index was visited before. */
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

  /** Adds a client, which has to catch up. */
  add(client: Client): void {
    this.#behind.add(client)
    client.settleIn(this)
  }

  leave(client: Client): void {
    if (!this.#behind.delete(client)) this.#removeLive(client.place)
    this.#owner.left(this)
  }

  /** @returns false if the live clients have yet to receive what this one has; the next flush makes it live */
  makeLive(client: Client): boolean {
    if (this.#chunk !== undefined || (this.#live.length > 0 && !this.isSettled)) return false
    this.#seq = this.#source.log.head
    this.#behind.delete(client)
    client.place = this.#live.length
    this.#live.push(client)
    return true
  }

  fallBehind(client: Client): number {
    const seq = this.#seqOf(client)
    this.#removeLive(client.place)
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
    while (this.#chunk !== undefined && this.#offered < live.length) live[this.#offered++]!.take(this.#chunk, now)
    if (this.#chunk !== undefined) this.#seq = this.#chunk.to
    this.#chunk = undefined
    this.#offered = 0
  }

  /** `seq` up to which a live client has received everything. */
  #seqOf({ place }: Client): number {
    if (this.isSettled) return this.#source.log.head
    return this.#chunk !== undefined && place < this.#offered ? this.#chunk.to : this.#seq
  }

  #removeLive(place: number): void {
    let free = place
    if (free < this.#offered) {
      // The clients that have received the chunk stay at the lowest indexes: the last of them fills the gap, and the last
      // of all takes its index.
      this.#offered--
      this.#move(this.#offered, free)
      free = this.#offered
    }
    this.#move(this.#live.length - 1, free)
    this.#live.pop()
  }

  #move(from: number, to: number): void {
    if (from === to) return
    const client = this.#live[from]!
    this.#live[to] = client
    client.place = to
  }
}
