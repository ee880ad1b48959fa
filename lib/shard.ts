import type { CareLimits, Client } from './client.js'
import type { EventLog } from './event-log.js'

/** A group of clients that is flushed in one turn of the event loop. */
export class Shard {
  readonly clients = new Set<Client>()
  /** Whether a flush is due. */
  woken = false
  readonly #log: EventLog
  #offered = 0

  constructor(log: EventLog) {
    this.#log = log
  }

  /** `seq` of the newest event that it has offered to its clients. */
  get offered(): number {
    return this.clients.size === 0 ? this.#log.head : this.#offered
  }

  add(client: Client): void {
    if (this.clients.size === 0) this.#offered = this.#log.head
    this.clients.add(client)
  }

  delete(client: Client): void {
    this.clients.delete(client)
  }

  /** Offers every client what the log has for it. A client whose socket is full is skipped: it reads on when it drains. */
  flush(now: number): void {
    // Before the loop: an event appended meanwhile has not been offered to those already passed.
    this.#offered = this.#log.head
    for (const client of this.clients) client.advance(now)
  }

  /** Looks after those of its clients whose number is `phase` modulo `phases`. */
  tend(now: number, phase: number, phases: number, limits: CareLimits): void {
    for (const client of this.clients) {
      if (client.number % phases === phase) client.tend(now, limits)
    }
  }
}
