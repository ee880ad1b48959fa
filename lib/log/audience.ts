import qlobber from 'qlobber'
import type { LogEntry } from './log-entry.js'
import { countOf, type SmallSet, withOne, withoutOne } from './small-set.js'
import { isWildcard, MATCHER } from './topic.js'

/** Clients of one audience that are flushed together. */
export interface Cohort {
  /** Whether it has yet to be flushed for an event of its audience's topics. */
  readonly isTouched: boolean
  /** There is an event for them. Asks for their flush, unless one is asked for already. */
  touch(): void
}

/** Called for an event of an audience's topics. */
export type Listener = () => void

/** What nobody adds to. */
const NOTHING: LogEntry[] = []

/**
 * Clients with equal subscriptions: what is true of one of them is worked out once for all, and they share bytes. It
 * exists while a client holds it.
 */
export class Audience {
  /** Tells it from every other there was. */
  readonly number: number
  /** What they subscribe to, sorted; nothing for those who hear only what has no topic. */
  readonly patterns: readonly string[]
  /** Whether they hear what has no topic, too. */
  readonly hearsCommon: boolean
  /** Events with a topic of theirs, since it exists. */
  heard = 0
  #pending: LogEntry[] = NOTHING
  #cohorts: SmallSet<Cohort>
  /** Those who hear the next event, and are no clients: what it is they read from the log. */
  #listeners: Set<Listener> | undefined
  readonly #exact = new Set<string>()
  readonly #wildcards: qlobber.QlobberTrue | undefined

  constructor(number: number, patterns: readonly string[], hearsCommon = true) {
    this.number = number
    this.patterns = patterns
    this.hearsCommon = hearsCommon
    const wildcards = patterns.filter(isWildcard)
    if (wildcards.length > 0) this.#wildcards = new qlobber.QlobberTrue(MATCHER)
    for (const pattern of wildcards) this.#wildcards!.add(pattern)
    for (const pattern of patterns) if (!isWildcard(pattern)) this.#exact.add(pattern)
  }

  /** Events with a topic of theirs that some cohort has yet to offer its clients. */
  get pending(): readonly LogEntry[] {
    return this.#pending
  }

  /** Cohorts of its clients. */
  get cohortCount(): number {
    return countOf(this.#cohorts)
  }

  /** Its clients have one more cohort. */
  join(cohort: Cohort): void {
    this.#cohorts = withOne(this.#cohorts, cohort)
  }

  /** For each `join`, once. */
  leave(cohort: Cohort): void {
    this.#cohorts = withoutOne(this.#cohorts, cohort)
    this.settle()
  }

  /** Calls `listener` for the next event of its topics, where `off` does not come before. */
  once(listener: Listener): void {
    this.#listeners ??= new Set()
    this.#listeners.add(listener)
  }

  off(listener: Listener): void {
    this.#listeners?.delete(listener)
  }

  /** It hears an event of one of its topics. */
  hear(entry: LogEntry): void {
    this.heard++
    if (this.#listeners !== undefined) this.#callListeners()
    // Its clients read what they were absent for from the log.
    const cohorts = this.#cohorts
    if (cohorts === undefined) return
    // Most often there is one, for which an array that is made to grow would be ten times too large.
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

  /** Forgets the news that all cohorts have been offered. */
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

  /** Whether an event reaches it. */
  hears({ topic }: LogEntry): boolean {
    if (topic === undefined) return this.hearsCommon
    return this.#exact.has(topic) || this.#wildcards?.test(topic) === true
  }
}

/** The audiences there are, by what they subscribe to. An event with a topic costs what the audiences it reaches do. */
export class Audiences {
  /** Those who hear only what has no topic. */
  readonly everyone = new Audience(0, [])
  readonly #held = new Map<string, { audience: Audience; holders: number }>()
  readonly #exact = new Map<string, SmallSet<Audience>>()
  readonly #wildcards = new qlobber.QlobberDedup<Audience>(MATCHER)
  #wildcardCount = 0
  #made: number

  /** @param first what their numbers begin after */
  constructor(first = 0) {
    this.#made = first
  }

  /** Audiences held, `everyone` aside. */
  get size(): number {
    return this.#held.size
  }

  /**
   * The audience of a set of subscriptions, for one more holder.
   *
   * @param hearsCommon whether they hear what has no topic, too
   */
  hold(subscriptions: Iterable<string>, hearsCommon = true): Audience {
    const asked = [...subscriptions]
    if (asked.length === 0 && hearsCommon) return this.everyone
    const patterns = [...new Set(asked)].sort()
    const key = keyOf(patterns, hearsCommon)
    const held = this.#held.get(key)
    if (held !== undefined) {
      held.holders++
      return held.audience
    }
    const audience = new Audience(++this.#made, patterns, hearsCommon)
    this.#held.set(key, { audience, holders: 1 })
    for (const pattern of patterns) this.#subscribe(pattern, audience)
    return audience
  }

  /** For each `hold`, once. */
  release(audience: Audience): void {
    if (audience === this.everyone) return
    const key = keyOf(audience.patterns, audience.hearsCommon)
    const held = this.#held.get(key)!
    if (--held.holders > 0) return
    this.#held.delete(key)
    for (const pattern of audience.patterns) this.#unsubscribe(pattern, audience)
  }

  /** The audiences that an event with this topic reaches, each once. */
  of(topic: string): Iterable<Audience> {
    const held = this.#exact.get(topic)
    const exact = held instanceof Audience ? [held] : (held ?? [])
    if (this.#wildcardCount === 0) return exact
    // A copy: the matcher may give out a set of its own.
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

/** No pattern holds a line break, nor is it empty. */
function keyOf(patterns: readonly string[], hearsCommon: boolean): string {
  return hearsCommon ? patterns.join('\n') : `\n${patterns.join('\n')}`
}
