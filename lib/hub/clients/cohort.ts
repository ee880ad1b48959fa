import type { Audience, Cohort } from '../../log/audience.js'
import type { EventChunk } from '../../log/chunk.js'
import type { Client } from './client.js'
import type { Home, Source } from './client-context.js'

/** What a cohort tells its shard. */
export interface CohortOwner {
  /** There is an event for the cohort. */
  touch(cohort: ShardCohort): void
  /** One of its clients has left. */
  left(cohort: ShardCohort): void
}

/**
 * The clients of one audience in a shard. Those that are *live* have had all that is theirs up to one place in the log, which
 * they share; a flush gives them the same bytes, one after another. The others catch up, each with a cursor of its own.
 */
export class ShardCohort implements Cohort, Home {
  readonly audience: Audience
  readonly #owner: CohortOwner
  readonly #source: Pick<Source, 'log' | 'reader'>
  /** The live ones. Each knows its index. */
  readonly #live: Client[] = []
  readonly #behind = new Set<Client>()
  /** `seq` up to which the live ones have been offered everything. */
  #seq = 0
  /** What is being offered to them, and how many have had it: those at the first indexes. */
  #chunk: EventChunk | undefined
  #offered = 0
  /** Whether it is to be flushed for an event of its audience's topics. */
  isTouched = false

  constructor(owner: CohortOwner, audience: Audience, source: Pick<Source, 'log' | 'reader'>) {
    this.#owner = owner
    this.audience = audience
    this.#source = source
  }

  /** Clients in it. */
  get size(): number {
    return this.#live.length + this.#behind.size
  }

  /** Its clients, as they are now. */
  get clients(): readonly Client[] {
    return [...this.#live, ...this.#behind]
  }

  /** Those that are not live. */
  get behind(): Iterable<Client> {
    return this.#behind
  }

  /** So many of those that are live, at most. */
  someLive(max: number): readonly Client[] {
    return this.#live.slice(0, max)
  }

  /** Goes from the last index to the first: a client that is moved to a freed index has been visited already. */
  *[Symbol.iterator](): Generator<Client> {
    const live = this.#live
    for (let i = live.length - 1; i >= 0; i--) {
      const client = live[i]
      if (client !== undefined) yield client
    }
    yield* this.#behind
  }

  /** Events by which its slowest client is behind. */
  get slowestLag(): number {
    let slowest = 0
    for (const { lag } of this.isSettled ? this.#behind : this) slowest = Math.max(slowest, lag)
    return slowest
  }

  /** Whether its live clients have been offered all that is theirs. */
  get isSettled(): boolean {
    if (this.#chunk !== undefined) return false
    const { pending, hearsCommon } = this.audience
    const newest = pending.at(-1)
    if (newest !== undefined && newest.seq > this.#seq) return false
    return !hearsCommon || this.#source.log.lastUntopical <= this.#seq
  }

  /** Takes a client in, which catches up. */
  add(client: Client): void {
    this.#behind.add(client)
    client.settleIn(this)
  }

  leave(client: Client): void {
    if (!this.#behind.delete(client)) this.#removeLive(client.place)
    this.#owner.left(this)
  }

  /** @returns false where the others have yet to be offered what this one has had: the next flush takes it in */
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

  /** Offers its clients what the log has for them. */
  flush(now: number): void {
    this.isTouched = false
    // This may be called amid an offer, where an event is broadcast that would evict others.
    this.#offerOn(now)
    while (this.#live.length > 0 && !this.isSettled) {
      this.#chunk = this.#source.reader.news(this.audience, this.#seq)
      // What has left the log meanwhile was larger than the log itself.
      if (this.#chunk === undefined) this.#seq = this.#source.log.head
      else this.#offerOn(now)
    }
    for (const client of this.#behind) client.advance(now)
    this.audience.settle()
  }

  /** Gives the chunk to the live clients that have yet to get it. A client that goes leaves its index to another. */
  #offerOn(now: number): void {
    const live = this.#live
    while (this.#chunk !== undefined && this.#offered < live.length) live[this.#offered++]!.take(this.#chunk, now)
    if (this.#chunk !== undefined) this.#seq = this.#chunk.to
    this.#chunk = undefined
    this.#offered = 0
  }

  /** `seq` up to which a live client has been offered everything. */
  #seqOf({ place }: Client): number {
    if (this.isSettled) return this.#source.log.head
    return this.#chunk !== undefined && place < this.#offered ? this.#chunk.to : this.#seq
  }

  #removeLive(place: number): void {
    let free = place
    if (free < this.#offered) {
      // The last one has yet to be offered the chunk: one that has had it takes the free index, and the last one takes its.
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
