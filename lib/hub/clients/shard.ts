import type { Audience, Cohort } from '../../log/audience.js'
import type { EventLog } from '../../log/event-log.js'
import type { Client } from './client.js'
import type { CareLimits, Home } from './client-context.js'

/** A group of clients that is flushed in one turn of the event loop. */
export class Shard {
  readonly #log: EventLog
  /** Asks for a flush of this shard, in a turn of its own. */
  readonly #wake: (shard: Shard) => void
  readonly #cohorts = new Map<Audience, ShardCohort>()
  /** The cohorts that have something to read; all of them, after an event without a topic. */
  #touched: ShardCohort[] = []
  #allTouched = false
  #woken = false
  #offered = 0
  #size = 0
  /** Those that this round has yet to look after, and how many it has. */
  #untended: Iterator<Client> | undefined
  #tended = 0

  constructor(log: EventLog, wake: (shard: Shard) => void) {
    this.#log = log
    this.#wake = wake
  }

  /** Clients in it. */
  get size(): number {
    return this.#size
  }

  /** Its clients, as they are now. */
  clients(): readonly Client[] {
    return [...this.#cohorts.values()].flatMap((cohort) => cohort.list)
  }

  /** Its clients of one audience. */
  countOf(audience: Audience): number {
    return this.#cohorts.get(audience)?.size ?? 0
  }

  /** `seq` of the newest event that it has offered to its clients. */
  get offered(): number {
    return this.#woken ? this.#offered : this.#log.head
  }

  add(client: Client, audience: Audience): void {
    const cohort = this.#cohorts.get(audience)
    if (cohort !== undefined) cohort.add(client)
    else {
      const first = new ShardCohort(this, audience, client)
      this.#cohorts.set(audience, first)
      audience.join(first)
    }
    this.#size++
  }

  /** One of a cohort's clients has left. */
  left(cohort: ShardCohort): void {
    this.#size--
    if (cohort.size > 0) return
    const { audience } = cohort
    this.#cohorts.delete(audience)
    cohort.isTouched = false
    audience.leave(cohort)
  }

  /** There is an event for all of its clients. */
  touchAll(): void {
    if (this.#size === 0) return
    this.#allTouched = true
    this.#askForFlush()
  }

  /** There is an event for a cohort of it. */
  touch(cohort: ShardCohort): void {
    this.#touched.push(cohort)
    this.#askForFlush()
  }

  /**
   * Offers its clients what the log has for them. One whose socket is full is skipped: it reads on when it drains.
   *
   * @returns how many they were
   */
  flush(now: number): number {
    // Before the loop: an event appended meanwhile has not been offered to those already passed.
    this.#woken = false
    const cohorts = this.#allTouched ? this.#cohorts.values() : this.#touched
    this.#allTouched = false
    this.#touched = []
    let count = 0
    for (const cohort of cohorts) {
      count += cohort.size
      cohort.flush(now)
    }
    return count
  }

  /**
   * Looks after a part of its clients. A round, which looks after all of them once, has so many phases, evenly filled.
   *
   * @param phase counts from 0, with which a round begins
   */
  tend(now: number, phase: number, phases: number, limits: CareLimits): void {
    if (phase === 0) {
      this.#untended = this.#everyone()
      this.#tended = 0
    }
    const isLast = phase === phases - 1
    const enough = (this.#size * (phase + 1)) / phases
    while (isLast || this.#tended + 1 <= enough) {
      const next = this.#untended?.next()
      if (next === undefined || next.done) break
      this.#tended++
      next.value.tend(now, limits)
    }
  }

  /** As `clients`, without a list that would keep those who have gone. */
  *#everyone(): Generator<Client> {
    for (const cohort of this.#cohorts.values()) yield* cohort
  }

  #askForFlush(): void {
    if (this.#woken) return
    this.#woken = true
    // What came before this event has been offered, or there would be a flush to come already.
    this.#offered = this.#log.head - 1
    this.#wake(this)
  }
}

/** The clients of a shard that are of one audience, one after another: each knows its place, and leaves it in one step. */
class ShardCohort implements Cohort, Home {
  readonly audience: Audience
  readonly #shard: Shard
  readonly #clients: Client[]
  /** Amid a flush, how many have had their turn: those in the first places. */
  #flushed = 0
  /** Whether it is to be flushed for an event of its audience's topics. */
  isTouched = false

  constructor(shard: Shard, audience: Audience, first: Client) {
    this.#shard = shard
    this.audience = audience
    this.#clients = [first]
    first.settleIn(this, 0)
  }

  /** Clients in it. */
  get size(): number {
    return this.#clients.length
  }

  /** Its clients. It changes with them. */
  get list(): readonly Client[] {
    return this.#clients
  }

  /** Goes from the last place to the first: a client that is moved to a freed place has been visited already. */
  *[Symbol.iterator](): Generator<Client> {
    const clients = this.#clients
    for (let i = clients.length - 1; i >= 0; i--) {
      const client = clients[i]
      if (client !== undefined) yield client
    }
  }

  add(client: Client): void {
    client.settleIn(this, this.#clients.length)
    this.#clients.push(client)
  }

  leave(place: number): void {
    let free = place
    if (free < this.#flushed) {
      // The last one has yet to have its turn in a flush: one that has had it makes room for it.
      this.#flushed--
      this.#move(this.#flushed, free)
      free = this.#flushed
    }
    this.#move(this.#clients.length - 1, free)
    this.#clients.pop()
    this.#shard.left(this)
  }

  touch(): void {
    if (this.isTouched) return
    this.isTouched = true
    this.#shard.touch(this)
  }

  flush(now: number): void {
    const clients = this.#clients
    this.#flushed = 0
    while (this.#flushed < clients.length) clients[this.#flushed++]!.advance(now)
    this.#flushed = 0
    if (!this.isTouched) return
    this.isTouched = false
    this.audience.settle()
  }

  #move(from: number, to: number): void {
    if (from === to) return
    const client = this.#clients[from]!
    this.#clients[to] = client
    client.settleIn(this, to)
  }
}
