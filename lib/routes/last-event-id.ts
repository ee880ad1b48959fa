// From where a request asks for events: its last event id, or the cursor of a page. Whether that is still in the log is decided
// in log/log-reader.ts.

import type { FastifyRequest } from 'fastify'

/**
 * Returns the last event id of a request: the header (WHATWG HTML, 9.2.4), or `?lastEventId=` for clients that cannot set headers.
 */
export function lastEventId(request: FastifyRequest): string | undefined {
  const header = request.headers['last-event-id']
  if (typeof header === 'string' && header !== '') return header
  const value = (request.query as Record<string, unknown>).lastEventId
  const first = Array.isArray(value) ? value[0] : value
  return typeof first === 'string' && first !== '' ? first : undefined
}

/** Returns the cursor of a request for a page, `?since=`. The rest of its query is checked in page.ts. */
export function since(request: FastifyRequest): string | undefined {
  const value = (request.query as Record<string, unknown>).since
  return typeof value === 'string' ? value : undefined
}
