// The newest events that a tab has received. Whoever becomes the leader brings the other tabs up to date with them.

import { keepalive } from './event.js'
import type { Shared } from './tab-message.js'

/** Number of events that each tab keeps. */
const MOST = 1024

/** The newest events, by their ids. */
export class RecentEvents {
  readonly #byId = new Map<string, Shared>()

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  /** Adds an event as the newest, and drops the oldest if there are too many. */
  add(id: string, shared: Shared): void {
    this.#byId.delete(id)
    this.#byId.set(id, shared)
    if (this.#byId.size > MOST) this.#byId.delete(this.#byId.keys().next().value!)
  }

  /** Drops all events, and begins with a last event id that other tabs may have, too. */
  begin(id: string): void {
    this.#byId.clear()
    this.add(id, { event: keepalive(id), isAsked: false })
  }

  /** Returns the events after an id; undefined if the id is not among them. */
  after(id: string): Shared[] | undefined {
    const at = [...this.#byId.keys()].indexOf(id)
    return at < 0 ? undefined : [...this.#byId.values()].slice(at + 1)
  }
}
