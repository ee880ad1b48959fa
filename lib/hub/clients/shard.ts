// Shards: groups of clients that are flushed in one turn of the event loop. When a shard is flushed is decided in
// flush-queue.ts; its clients are in cohorts (cohort.ts).

import type { Audience } from '../../log/audience.js'
import type { EventLog } from '../../log/event-log.js'
import type { Client } from './client.js'
import type { CareLimits } from './client-context.js'
import { type CohortOwner, ShardCohort } from './cohort.js'

/** A group of clients that is flushed in one turn of the event loop. */
export class Shard implements CohortOwner {
  readonly #log: EventLog
  /** Requests a flush of this shard. */
  readonly #wake: (shard: Shard) => void
  readonly #cohorts = new Map<Audience, ShardCohort>()
  /** Cohorts with events to read, unless all have, after an event without a topic. */
  #touched: ShardCohort[] = []
  #allTouched = false
  /** Number of clients of the touched cohorts. */
  #touchedSize = 0
  #woken = false
  #offered = 0
  #size = 0
  /** The clients that this round of housekeeping has yet to visit, and the number of those that it has visited. */
  #untended: Iterator<Client> | undefined
  #tended = 0

  constructor(log: EventLog, wake: (shard: Shard) => void) {
    this.#log = log
    this.#wake = wake
  }

  /** Number of its clients. */
  get size(): number {
    return this.#size
  }

  /** Its cohorts, one for each audience. */
  get cohorts(): Iterable<ShardCohort> {
    return this.#cohorts.values()
  }

  /** A copy of the list of its clients. */
  clients(): readonly Client[] {
    return [...this.#cohorts.values()].flatMap(({ clients }) => clients)
  }

  /** Number of its clients of one audience. */
  countOf(audience: Audience): number {
    return this.#cohorts.get(audience)?.size ?? 0
  }

  /** Number of clients that the next flush visits, about. */
  get reach(): number {
    return this.#allTouched ? this.#size : this.#touchedSize
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

  /** Requests a flush of all its clients. */
  touchAll(): void {
    if (this.#size === 0) return
    this.#allTouched = true
    this.#askForFlush()
  }

  touch(cohort: ShardCohort): void {
    this.#touched.push(cohort)
    this.#touchedSize += cohort.size
    this.#askForFlush()
  }

  /**
   * Offers its clients what the log has for them. A client whose socket is full is skipped: it reads on when that
   * drains.
   *
   * @returns the number of clients
   */
  flush(now: number): number {
    // Before the loop: an event that is appended meanwhile has not been offered to the clients already visited.
    this.#woken = false
    const cohorts = this.#allTouched ? this.#cohorts.values() : this.#touched
    this.#allTouched = false
    this.#touched = []
    this.#touchedSize = 0
    let count = 0
    for (const cohort of cohorts) {
      count += cohort.size
      cohort.flush(now)
    }
    return count
  }

  /**
   * Visits a part of its clients, for housekeeping. A round visits all of them once, in phases of equal size.
   *
   * @param phase from 0, with which a round begins
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

  /** Like `clients`, without a list, which would keep disconnected clients in memory. */
  *#everyone(): Generator<Client> {
    for (const cohort of this.#cohorts.values()) yield* cohort
  }

  #askForFlush(): void {
    if (this.#woken) return
    this.#woken = true
    // Earlier events have been offered: otherwise a flush would be requested already.
    this.#offered = this.#log.head - 1
    this.#wake(this)
  }
}
