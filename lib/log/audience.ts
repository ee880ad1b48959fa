// Audiences: clients with equal subscriptions, and which of them an event reaches. Topics in the log that match a
// pattern are found in topic-tree.ts.

import qlobber from 'qlobber'
import type { LogEntry } from './log-entry.js'
import { countOf, type SmallSet, withOne, withoutOne } from './small-set.js'
import { isWildcard, MATCHER } from './topic.js'

/** The clients of one audience that are flushed together: those in one shard. */
export interface Cohort {
  /** Whether an event of the audience's topics waits for the next flush. */
  readonly isTouched: boolean
  /** Marks the cohort as touched and requests a flush. Has no effect if it is already touched. */
  touch(): void
}

/** Called on the next event of an audience's topics. */
export type Listener = () => void

/** The empty list that all idle audiences share. Never changed. */
const NOTHING: LogEntry[] = []

/**
 * All clients with equal subscriptions. What they receive is computed once, and they share its bytes. An audience
 * exists while somebody holds it (`Audiences.hold`).
 */
export class Audience {
  /** Unique within its `Audiences`, past audiences included. Keys of cached chunks contain it. */
  readonly number: number
  /** Their topics and patterns, sorted. Empty if they receive only events without a topic. */
  readonly patterns: readonly string[]
  /** Whether they also receive events without a topic. */
  readonly hearsTopicless: boolean
  /** Number of events with one of their topics since the audience was created. */
  heard = 0
  /** Number of its holders, which `Audiences` counts. */
  holders = 0
  #pending: LogEntry[] = NOTHING
  #cohorts: SmallSet<Cohort>
  /** Called once for the next event: long polls, which read the event from the log themselves. */
  #listeners: Set<Listener> | undefined
  readonly #exact = new Set<string>()
  readonly #wildcards: qlobber.QlobberTrue | undefined

  constructor(number: number, patterns: readonly string[], hearsTopicless = true) {
    this.number = number
    this.patterns = patterns
    this.hearsTopicless = hearsTopicless
    const wildcards = patterns.filter(isWildcard)
    if (wildcards.length > 0) this.#wildcards = new qlobber.QlobberTrue(MATCHER)
    for (const pattern of wildcards) this.#wildcards!.add(pattern)
    for (const pattern of patterns) if (!isWildcard(pattern)) this.#exact.add(pattern)
  }

  /** Events with one of their topics that at least one cohort has not offered to its clients yet. */
  get pending(): readonly LogEntry[] {
    return this.#pending
  }

  /** Number of cohorts. */
  get cohortCount(): number {
    return countOf(this.#cohorts)
  }

  /** Adds a cohort. */
  join(cohort: Cohort): void {
    this.#cohorts = withOne(this.#cohorts, cohort)
  }

  /** Removes a cohort. Call it once for each `join`. */
  leave(cohort: Cohort): void {
    this.#cohorts = withoutOne(this.#cohorts, cohort)
    this.settle()
  }

  /** Calls `listener` once, on the next event of its topics, unless `off` is called before. */
  once(listener: Listener): void {
    this.#listeners ??= new Set()
    this.#listeners.add(listener)
  }

  off(listener: Listener): void {
    this.#listeners?.delete(listener)
  }

  /** Takes in an event with one of its topics: calls the listeners, and marks the cohorts for a flush. */
  hear(entry: LogEntry): void {
    this.heard++
    if (this.#listeners !== undefined) this.#callListeners()
    // Without a cohort there is nobody to flush. Clients that come later read the event from the log.
    const cohorts = this.#cohorts
    if (cohorts === undefined) return
    // Usually there is only one event. An array that grows by `push` would reserve about ten times the space.
    if (this.#pending.length === 0) this.#pending = [entry]
    else this.#pending.push(entry)
    if (!(cohorts instanceof Set)) cohorts.touch()
    else for (const cohort of cohorts) cohort.touch()
  }

  #callListeners(): void {
    const listeners = this.#listeners!
    this.#listeners = undefined
    for (const listener of listeners) listener()
  }

  /** Clears `pending` once no cohort waits for a flush. */
  settle(): void {
    if (this.#pending.length === 0) return
    const cohorts = this.#cohorts
    if (!(cohorts instanceof Set)) {
      if (cohorts?.isTouched) return
    } else {
      for (const cohort of cohorts) if (cohort.isTouched) return
    }
    this.#pending = NOTHING
  }

  /** Whether its clients receive an event, apart from the one that `except` names. */
  hears({ topic }: LogEntry): boolean {
    if (topic === undefined) return this.hearsTopicless
    return this.#exact.has(topic) || this.#wildcards?.test(topic) === true
  }
}

/**
 * All audiences, by their subscriptions. The cost of an event with a topic depends on the audiences that it reaches,
 * not on how many there are.
 */
export class Audiences {
  /** The audience of clients that receive only events without a topic. It always exists. */
  readonly everyone = new Audience(0, [])
  readonly #held = new Map<string, Audience>()
  readonly #exact = new Map<string, SmallSet<Audience>>()
  readonly #wildcards = new qlobber.QlobberDedup<Audience>(MATCHER)
  #wildcardCount = 0
  #made: number

  /** @param first the numbers of audiences start after this one */
  constructor(first = 0) {
    this.#made = first
  }

  /** Number of audiences held, without `everyone`. */
  get size(): number {
    return this.#held.size
  }

  /**
   * Returns the audience of a set of subscriptions and adds a holder to it. Call `release` for each holder.
   *
   * @param hearsTopicless whether its clients also receive events without a topic
   */
  hold(subscriptions: Iterable<string>, hearsTopicless = true): Audience {
    const asked = [...subscriptions]
    if (asked.length === 0 && hearsTopicless) return this.retain(this.everyone)
    const patterns = [...new Set(asked)].sort()
    const key = keyOf(patterns, hearsTopicless)
    const held = this.#held.get(key)
    if (held !== undefined) return this.retain(held)
    const audience = new Audience(++this.#made, patterns, hearsTopicless)
    this.#held.set(key, audience)
    for (const pattern of patterns) this.#subscribe(pattern, audience)
    return this.retain(audience)
  }

  /** Adds a holder to an audience that is held. */
  retain(audience: Audience): Audience {
    audience.holders++
    return audience
  }

  /** Removes a holder. Call it once for each `hold` and each `retain`. */
  release(audience: Audience): void {
    if (--audience.holders > 0 || audience === this.everyone) return
    this.#held.delete(keyOf(audience.patterns, audience.hearsTopicless))
    for (const pattern of audience.patterns) this.#unsubscribe(pattern, audience)
  }

  /** The audiences that an event with this topic reaches, each once. */
  of(topic: string): Iterable<Audience> {
    const held = this.#exact.get(topic)
    const exact = held instanceof Audience ? [held] : (held ?? [])
    if (this.#wildcardCount === 0) return exact
    // A copy, since the matcher may return a set that it keeps.
    return new Set([...exact, ...this.#wildcards.match(topic)])
  }

  #subscribe(pattern: string, audience: Audience): void {
    if (isWildcard(pattern)) {
      this.#wildcards.add(pattern, audience)
      this.#wildcardCount++
      return
    }
    this.#exact.set(pattern, withOne(this.#exact.get(pattern), audience))
  }

  #unsubscribe(pattern: string, audience: Audience): void {
    if (isWildcard(pattern)) {
      this.#wildcards.remove(pattern, audience)
      this.#wildcardCount--
      return
    }
    const left = withoutOne(this.#exact.get(pattern), audience)
    if (left === undefined) this.#exact.delete(pattern)
    else this.#exact.set(pattern, left)
  }
}

/** Unambiguous, since no pattern is empty or contains a line break. */
function keyOf(patterns: readonly string[], hearsTopicless: boolean): string {
  return hearsTopicless ? patterns.join('\n') : `\n${patterns.join('\n')}`
}
