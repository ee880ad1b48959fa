// An app in which a request broadcasts, and the places of events in the log.

import type { FastifyInstance } from 'fastify'
import type { Served } from './server.js'

/** An app in which `POST /say` broadcasts. */
export function talkative(app: FastifyInstance): void {
  app.post('/say', async ({ body }) => ({ id: await app.sse.publish(body) }))
}

/** Has the app broadcast; the id of the event. */
export async function say(served: Served, body: unknown): Promise<string> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${served.url}/say`, { method: 'POST', headers, body: JSON.stringify(body) })
  return ((await response.json()) as { id: string }).id
}

/** The number in an id. */
export function placeOf(id: string | undefined): number {
  return Number(id?.split('-')[1])
}
