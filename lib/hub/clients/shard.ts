import type { Audience } from '../../log/audience.js'
import type { EventLog } from '../../log/event-log.js'
import type { Client } from './client.js'
import type { CareLimits } from './client-context.js'
import { type CohortOwner, ShardCohort } from './cohort.js'

/** A group of clients that is flushed in one turn of the event loop. */
export class Shard implements CohortOwner {
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

  /** Its clients, by audience. */
  get cohorts(): Iterable<ShardCohort> {
    return this.#cohorts.values()
  }

  /** Its clients, as they are now. */
  clients(): readonly Client[] {
    return [...this.#cohorts.values()].flatMap(({ clients }) => clients)
  }

  /** Its clients of one audience. */
  countOf(audience: Audience): number {
    return this.#cohorts.get(audience)?.size ?? 0
  }

  /** Events by which its slowest client is behind. */
  get slowestLag(): number {
    let slowest = 0
    for (const cohort of this.#cohorts.values()) slowest = Math.max(slowest, cohort.slowestLag)
    return slowest
  }

  /** `seq` of the newest event that it has offered to its clients. */
  get offered(): number {
    return this.#woken ? this.#offered : this.#log.head
  }

  add(client: Client): void {
    const { audience } = client
    let cohort = this.#cohorts.get(audience)
    if (cohort === undefined) {
      cohort = new ShardCohort(this, audience, client.source)
      this.#cohorts.set(audience, cohort)
      audience.join(cohort)
    }
    cohort.add(client)
    this.#size++
  }

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
