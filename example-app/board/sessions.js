import { randomUUID } from 'node:crypto'

/** The sessions of logged-in users, in memory: each lasts until it expires, its user logs out, or the server restarts. */
export class Sessions {
  // All have the same lifetime, so the oldest come first and expire first.
  #sessions = new Map()
  #lifetime
  #limit

  /** @param {{ lifetime: number, limit: number }} options `lifetime` in ms */
  constructor({ lifetime, limit }) {
    this.#lifetime = lifetime
    this.#limit = limit
  }

  /** A new session, or undefined if there are too many. */
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
