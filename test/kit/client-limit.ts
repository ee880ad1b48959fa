// Servers that limit the clients of an address.

import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { Connections } from './connections.js'
import type { EventReader } from './event-reader.js'
import { type Served, type ServeOptions, serve } from './server.js'
import type { StreamRequest } from './stream-request.js'

export interface Limited extends Served {
  connections: Connections
}

export async function serveLimited(t: Test, options: ServeOptions & { sse?: PylonSseOptions } = {}): Promise<Limited> {
  let connections!: Connections
  const setup = (app: FastifyInstance) => {
    connections = new Connections(app)
    return options.setup?.(app)
  }
  const s = await serve(t, { ...options, sse: { overLimit: 'status', ...options.sse }, setup })
  return { ...s, connections }
}

export type Opened = EventReader & { close(): Promise<void> }
export type Open = (request: StreamRequest) => Promise<Opened>

/** Shows that just so many get in; then they leave. */
export async function hasFree(
  t: Test,
  s: Limited,
  free: number,
  what: string,
  request: StreamRequest = {},
  open?: Open
) {
  const before = s.connections.sockets.size
  const clients: Opened[] = []
  for (let i = 0; i <= free; i++) clients.push(await (open ?? s.connect)(request))
  t.strictSame(
    clients.map(({ status }) => status),
    [...new Array(free).fill(200), 429],
    what
  )
  await Promise.all(clients.map((client) => client.close()))
  await s.connections.waitForNumber(before)
}

export function from(address: string): StreamRequest {
  return { headers: { 'x-forwarded-for': address } }
}
