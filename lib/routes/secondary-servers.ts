import type { FastifyInstance } from 'fastify'
import type { Server } from '../wire/server-connections.js'

/** What Fastify keeps the servers under that listen on the further addresses of `localhost`. */
const BINDINGS = 'fastify.serverBindings'

/** The servers that Fastify has made beside `app.server`; none where it does not tell. */
export function secondaryServers(app: FastifyInstance): readonly Server[] {
  for (let holder: object | null = app; holder !== null; holder = Object.getPrototypeOf(holder)) {
    const key = Object.getOwnPropertySymbols(holder).find(({ description }) => description === BINDINGS)
    if (key !== undefined) return (holder as Record<symbol, readonly Server[]>)[key]!
  }
  /* c8 ignore next 2: every release of Fastify 5 has them */
  return []
}
