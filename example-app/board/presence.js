/** Shortest time between two announcements of a room, ms. */
const INTERVAL = 250

/** Who is in which room, derived from the connected clients. */
export class Presence {
  /** Clients by room, then by id. */
  #clients = new Map()
  #changed = new Set()
  #announce
  #timer
  #closed = false

  /** @param {(room: string, people: string[]) => void} announce */
  constructor(announce) {
    this.#announce = announce
  }

  /** @param {{ id: string, user: string, pid: number }} client `pid`: the process that it is connected to */
  enter(room, client) {
    if (!this.#clients.has(room)) this.#clients.set(room, new Map())
    this.#clients.get(room).set(client.id, client)
    this.#change(room)
  }

  leave(room, clientId) {
    if (this.#clients.get(room)?.delete(clientId)) this.#change(room)
  }

  leaveAll(pid) {
    for (const [room, clients] of this.#clients) {
      for (const client of clients.values()) if (client.pid === pid) this.leave(room, client.id)
    }
  }

  /** The names of the people in a room, each once even with several tabs. */
  in(room) {
    const names = new Set([...(this.#clients.get(room)?.values() ?? [])].map(({ user }) => user))
    return [...names].sort((one, other) => one.localeCompare(other))
  }

  close() {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  /** Schedules the announcement of a room. */
  #change(room) {
    if (this.#closed) return
    this.#changed.add(room)
    this.#timer ??= setTimeout(() => this.#tell(), INTERVAL).unref()
  }

  #tell() {
    this.#timer = undefined
    for (const room of this.#changed) this.#announce(room, this.in(room))
    this.#changed.clear()
  }
}
