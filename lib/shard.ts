import type { Audience, Cohort } from './audience.js'
import type { CareLimits, Client } from './client.js'
import type { EventLog } from './event-log.js'

/** Parts into which its clients are divided, so that not all are looked after at once. */
export const PHASES = 32

/** A group of clients that is flushed in one turn of the event loop. */
export class Shard {
  readonly #log: EventLog
  /** Asks for a flush of this shard, in a turn of its own. */
  readonly #wake: (shard: Shard) => void
  readonly #cohorts = new Map<Audience, ShardCohort>()
  /** Its clients, by their number modulo PHASES. */
  readonly #wards = new Map<number, Set<Client>>()
  /** The cohorts that have something to read; all of them, after an event without a topic. */
  #touched: ShardCohort[] = []
  #allTouched = false
  #woken = false
  #offered = 0
  #size = 0

  constructor(log: EventLog, wake: (shard: Shard) => void) {
    this.#log = log
    this.#wake = wake
  }

  /** Clients in it. */
  get size(): number {
    return this.#size
  }

  /** Its clients. */
  *clients(): Generator<Client> {
    for (const cohort of this.#cohorts.values()) yield* cohort.clients
  }

  /** `seq` of the newest event that it has offered to its clients. */
  get offered(): number {
    return this.#woken ? this.#offered : this.#log.head
  }

  add(client: Client, audience: Audience): void {
    let cohort = this.#cohorts.get(audience)
    if (cohort === undefined) {
      cohort = new ShardCohort(this, audience)
      this.#cohorts.set(audience, cohort)
      audience.cohorts.add(cohort)
    }
    cohort.clients.add(client)
    this.#ward(client).add(client)
    this.#size++
  }

  delete(client: Client, audience: Audience): void {
    const cohort = this.#cohorts.get(audience)!
    cohort.clients.delete(client)
    this.#ward(client).delete(client)
    this.#size--
    if (cohort.clients.size > 0) return
    this.#cohorts.delete(audience)
    audience.cohorts.delete(cohort)
    cohort.isTouched = false
    audience.settle()
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
      count += cohort.clients.size
      cohort.flush(now)
    }
    return count
  }

  /** Looks after a part of its clients: the one that is due in this of so many phases, at most PHASES. */
  tend(now: number, phase: number, phases: number, limits: CareLimits): void {
    for (let ward = phase; ward < PHASES; ward += phases) {
      for (const client of this.#wards.get(ward) ?? []) client.tend(now, limits)
    }
  }

  #ward({ number }: Client): Set<Client> {
    const ward = number % PHASES
    let clients = this.#wards.get(ward)
    if (clients === undefined) {
      clients = new Set()
      this.#wards.set(ward, clients)
    }
    return clients
  }

  #askForFlush(): void {
    if (this.#woken) return
    this.#woken = true
    // What came before this event has been offered, or there would be a flush to come already.
    this.#offered = this.#log.head - 1
    this.#wake(this)
  }
}

/** The clients of a shard that are of one audience. */
class ShardCohort implements Cohort {
  readonly clients = new Set<Client>()
  readonly #shard: Shard
  readonly #audience: Audience
  /** Whether it is to be flushed for an event of its audience's topics. */
  isTouched = false

  constructor(shard: Shard, audience: Audience) {
    this.#shard = shard
    this.#audience = audience
  }

  touch(): void {
    if (this.isTouched) return
    this.isTouched = true
    this.#shard.touch(this)
  }

  flush(now: number): void {
    for (const client of this.clients) client.advance(now)
    if (!this.isTouched) return
    this.isTouched = false
    this.#audience.settle()
  }
}
