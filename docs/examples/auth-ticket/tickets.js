import { randomBytes } from 'node:crypto'

export class Tickets {
  #held = new Map()
  #lifetime

  constructor(lifetime = 30_000) {
    this.#lifetime = lifetime
  }

  /** A ticket for a user, who is what @fastify/jwt has read from a token. */
  issue(user) {
    const now = Date.now()
    for (const [ticket, { until }] of this.#held) {
      if (until <= now) this.#held.delete(ticket)
    }
    const ticket = randomBytes(32).toString('base64url')
    this.#held.set(ticket, { user, until: Math.min(now + this.#lifetime, user.exp * 1000) })
    return ticket
  }

  /** The user it was issued to, once; then, and when it is too old, nobody. */
  redeem(ticket) {
    const held = this.#held.get(ticket)
    this.#held.delete(ticket)
    return held !== undefined && Date.now() < held.until ? held.user : undefined
  }
}
