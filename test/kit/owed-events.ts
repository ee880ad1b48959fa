// Checks that each client gets the events that it is owed, or a resync.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SseEvent } from './event-reader.js'
import { resyncOf } from './numbered.js'
import { type Process, range } from './processes.js'

/** Events of a process that wait for the engine: a long failover must not push out of the history what a client left at. */
const MAX_WAITING = 200

/** What clients got of the events that they were owed. All of them are counts. */
export interface Account {
  delivered: number
  resyncs: number
  /** Acknowledged, and never delivered: a resync stands in their place. */
  told: number
  /** Acknowledged, and neither delivered nor told. */
  silent: number
  /** Delivered again, or after one that follows them. */
  twice: number
}

/** Events that several processes publish while a test mistreats the engine. Each is known by its process and its number. */
export class OwedEvents {
  /** Tells these events from those of others. */
  readonly #run = randomUUID()
  readonly #processes: readonly Process[]
  /** By process: the numbers that the engine has acknowledged. */
  readonly #acknowledged: Set<number>[]
  readonly #stopping = new AbortController()
  readonly #publishers: Promise<void>[]
  /** Why the others were not accepted. */
  readonly errors: (Error & { code?: string })[] = []
  published = 0

  /** @param pause between two events of a process, ms */
  constructor(processes: readonly Process[], pause = 5) {
    this.#processes = processes
    this.#acknowledged = processes.map(() => new Set())
    this.#publishers = processes.map((_process, i) => this.#publish(i, pause))
  }

  get acknowledged(): number {
    return this.#acknowledged.reduce((sum, { size }) => sum + size, 0)
  }

  /** Resolves when so many more than now have been acknowledged. */
  async more(count: number): Promise<void> {
    const enough = this.acknowledged + count
    while (this.acknowledged < enough) await sleep(5)
  }

  /** Publishes no more. Resolves when each event is acknowledged, or is given up. */
  async end(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#publishers)
  }

  /** @param events of one client, over all of its connections, until it had a last one that came after all of these */
  account(events: readonly SseEvent[]): Account {
    const account: Account = { delivered: 0, resyncs: 0, told: 0, silent: 0, twice: 0 }
    const states = this.#processes.map(() => ({ last: 0, isTold: false }))
    const expect = (process: number, number: number) => {
      const state = states[process]!
      const missing = range(state.last + 1, number - 1).filter((n) => this.#acknowledged[process]!.has(n)).length
      account[state.isTold ? 'told' : 'silent'] += missing
      state.isTold = false
      state.last = number
    }
    for (const event of events) {
      if (resyncOf(event) !== undefined) {
        account.resyncs++
        for (const state of states) state.isTold = true
        continue
      }
      const { run, process, number } = JSON.parse(event.data)
      if (run !== this.#run) continue
      if (number <= states[process]!.last) account.twice++
      else {
        expect(process, number)
        account.delivered++
      }
    }
    for (const [process, numbers] of this.#acknowledged.entries()) expect(process, Math.max(0, ...numbers) + 1)
    return account
  }

  /** Of the acknowledged events, those that are not among these. @param data of the events that an engine holds */
  missingFrom(data: Iterable<string>): number {
    const missing = this.#acknowledged.map((numbers) => new Set(numbers))
    for (const text of data) {
      const { run, process, number } = JSON.parse(text)
      if (run === this.#run) missing[process]!.delete(number)
    }
    return missing.reduce((sum, { size }) => sum + size, 0)
  }

  async #publish(process: number, pause: number): Promise<void> {
    const { sse } = this.#processes[process]!.app
    const publishing = new Set<Promise<void>>()
    for (let number = 1; !this.#stopping.signal.aborted; number++) {
      this.published++
      const accepted = sse.publish({ run: this.#run, process, number }).then(
        () => void this.#acknowledged[process]!.add(number),
        (error) => void this.errors.push(error)
      )
      publishing.add(accepted)
      void accepted.then(() => publishing.delete(accepted))
      await sleep(pause)
      if (publishing.size >= MAX_WAITING) await Promise.race(publishing)
    }
    await Promise.all(publishing)
  }
}
