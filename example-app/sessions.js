import { randomUUID } from 'node:crypto'

/** Who is logged in, in memory: a session lasts until its time is up, its owner leaves, or the server restarts. */
export class Sessions {
  // All last equally long, so the oldest stand first and end first.
  #sessions = new Map()
  #lifetime
  #limit

  /** @param {{ lifetime: number, limit: number }} options `lifetime` in ms */
  constructor({ lifetime, limit }) {
    this.#lifetime = lifetime
    this.#limit = limit
  }

  /** A new session, or undefined where there are too many. */
  begin(user) {
    this.#dropExpired()
    if (this.#sessions.size >= this.#limit) return undefined
    const session = { id: randomUUID(), user, expiresAt: new Date(Date.now() + this.#lifetime) }
    this.#sessions.set(session.id, session)
    return session
  }

  find(id) {
    const session = this.#sessions.get(id)
    return session && session.expiresAt > new Date() ? session : undefined
  }

  end(id) {
    this.#sessions.delete(id)
  }

  #dropExpired() {
    const now = new Date()
    for (const { id, expiresAt } of this.#sessions.values()) {
      if (expiresAt > now) return
      this.#sessions.delete(id)
    }
  }
}
