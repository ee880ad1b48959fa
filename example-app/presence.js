/** At most one announcement a room in so many ms, however many come and go at once. */
const INTERVAL = 250

/** Who is in which room, by the clients that are connected. */
export class Presence {
  /** By room and by the client's id. */
  #clients = new Map()
  #changed = new Set()
  #announce
  #timer
  #closed = false

  /** @param {(room: string, people: string[]) => void} announce */
  constructor(announce) {
    this.#announce = announce
  }

  /** @param {{ id: string, user: string, pid: number }} client `pid`: of the process that it is connected to */
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

  /** Names, each once, however many tabs someone has open. */
  in(room) {
    const names = new Set([...(this.#clients.get(room)?.values() ?? [])].map(({ user }) => user))
    return [...names].sort((one, other) => one.localeCompare(other))
  }

  close() {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  /** Tells a room soon who is in it. */
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
