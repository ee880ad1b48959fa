// The runs that this process holds, and their limits.

import type { RunBounds } from './run-log.js'
import { RunLog } from './run-log.js'

/** Limits of all runs that this process holds. */
export interface RunsBounds {
  /** Number of runs. */
  readonly max: number
  /** Size of their encoded events, bytes. */
  readonly bytes: number
}

/** The runs that this process holds: running ones, and ended ones that can still be read. */
export class Runs {
  readonly #bounds: RunsBounds
  readonly #byTopic = new Map<string, RunLog>()
  readonly #timers = new Map<RunLog, NodeJS.Timeout>()
  readonly #onGone: (run: RunLog) => void
  #bytes = 0

  /** @param onGone called with a run that has been removed */
  constructor(bounds: RunsBounds, onGone: (run: RunLog) => void) {
    this.#bounds = bounds
    this.#onGone = onGone
  }

  get size(): number {
    return this.#byTopic.size
  }

  /** Whether there is no room for another run. */
  get isFull(): boolean {
    return this.#byTopic.size >= this.#bounds.max || this.#bytes >= this.#bounds.bytes
  }

  find(topic: string): RunLog | undefined {
    return this.#byTopic.get(topic)
  }

  [Symbol.iterator](): Iterator<RunLog> {
    return this.#byTopic.values()
  }

  add(topic: string, id: string, bounds: RunBounds, first?: number): RunLog {
    const run = new RunLog(topic, id, bounds, first)
    this.#byTopic.set(topic, run)
    return run
  }

  /** Whether all runs together may grow by so many bytes. */
  hasRoomFor(bytes: number): boolean {
    return this.#bytes + bytes <= this.#bounds.bytes
  }

  /** Appends an event to a run. @returns the event's id */
  append(run: RunLog, body: string, isText: boolean, isLast = false, ownId?: string): string {
    const before = run.bytes
    const id = run.append(body, isText, isLast, ownId)
    this.#bytes += run.bytes - before
    return id
  }

  /** Keeps a run that has ended for `linger` ms. */
  linger(run: RunLog, linger: number): void {
    const timer = setTimeout(() => this.remove(run), linger)
    timer.unref()
    this.#timers.set(run, timer)
  }

  remove(run: RunLog): void {
    clearTimeout(this.#timers.get(run))
    this.#timers.delete(run)
    if (this.#byTopic.get(run.topic) === run) this.#byTopic.delete(run.topic)
    this.#bytes -= run.bytes
    this.#onGone(run)
  }

  clear(): void {
    for (const run of [...this.#byTopic.values()]) this.remove(run)
  }
}
