import type { Shared } from './tab-message.js'

/** Events that each tab keeps, for those that have had fewer when another one takes over. */
const MOST = 1024

/** The newest events, by their ids. */
export class RecentEvents {
  readonly #byId = new Map<string, Shared>()

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  /** Adds one as the newest; the oldest goes where there are too many. */
  add(id: string, shared: Shared): void {
    this.#byId.delete(id)
    this.#byId.set(id, shared)
    if (this.#byId.size > MOST) this.#byId.delete(this.#byId.keys().next().value!)
  }

  /** Begins at a cursor, which others may have as their last one. */
  begin(id: string): void {
    this.add(id, { event: { event: 'keepalive', id, topic: undefined, data: {} }, isAsked: false })
  }

  clear(): void {
    this.#byId.clear()
  }

  /** What has followed an id; nothing, where that is not known. */
  after(id: string): Shared[] | undefined {
    const at = [...this.#byId.keys()].indexOf(id)
    return at < 0 ? undefined : [...this.#byId.values()].slice(at + 1)
  }
}
