// The servers that Fastify creates besides `app.server`.

import type { FastifyInstance } from 'fastify'
import type { Server } from '../wire/server-connections.js'

/** The description of the symbol under which Fastify keeps the servers for further addresses of `localhost`. */
const BINDINGS = 'fastify.serverBindings'

/** Returns the servers that Fastify has created besides `app.server`; none if it does not tell. */
export function secondaryServers(app: FastifyInstance): readonly Server[] {
  for (let holder: object | null = app; holder !== null; holder = Object.getPrototypeOf(holder)) {
    const key = Object.getOwnPropertySymbols(holder).find(({ description }) => description === BINDINGS)
    if (key !== undefined) return (holder as Record<symbol, readonly Server[]>)[key]!
  }
  /* c8 ignore next 2: every release of Fastify 5 has them */
  return []
}
