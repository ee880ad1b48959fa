import { randomBytes } from 'node:crypto'

export class Tickets {
  #held = new Map()
  #lifetime

  constructor(lifetime = 30_000) {
    this.#lifetime = lifetime
  }

  /** Issues a ticket for a user, as @fastify/jwt has read it from a token. */
  issue(user) {
    const now = Date.now()
    for (const [ticket, { until }] of this.#held) {
      if (until <= now) this.#held.delete(ticket)
    }
    const ticket = randomBytes(32).toString('base64url')
    this.#held.set(ticket, { user, until: Math.min(now + this.#lifetime, user.exp * 1000) })
    return ticket
  }

  /** Returns the user that the ticket was issued to. It works once, and until the ticket expires. */
  redeem(ticket) {
    const held = this.#held.get(ticket)
    this.#held.delete(ticket)
    return held !== undefined && Date.now() < held.until ? held.user : undefined
  }
}
