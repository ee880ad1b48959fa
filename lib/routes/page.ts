// The JSON page: a part of the log for clients that poll. Waiting for an event is in hub/clients/long-polls.ts.

import type { FastifyReply, FastifyRequest } from 'fastify'
import { InvalidQueryError, ResyncRequiredError } from '../api/errors.js'
import type { Source } from '../hub/clients/client-context.js'
import type { Hub } from '../hub/hub.js'
import type { Audience } from '../log/audience.js'
import type { EventLog } from '../log/event-log.js'
import { type PlainEvent, plainEvent } from '../log/plain-event.js'
import { leaveConnection } from './rejection.js'
import type { ResolvedStreamOptions } from './stream-options.js'

/** A part of the log, as JSON. */
export interface Page {
  events: PlainEvent[]
  /** The `since` of the next request. */
  cursor: string
  /** Whether more events are available now. */
  hasMore: boolean
}

/** What a page is read from. */
type PageSource = Pick<Source, 'log' | 'reader' | 'audiences'>

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000
const MAX_WAIT = 60_000
/** Size of the events after which a page ends, bytes: a client that does not read keeps its page in memory. */
const MAX_BYTES = 1024 * 1024

/**
 * Sends a page of the log: `?since=<id>&limit=100`. It starts with the oldest event that can be replayed if `since` is
 * `0` or absent, and with the next event if it is `now`. It ends after `limit` events or 1 MiB of them. If there is no
 * event yet, `?wait=<ms>` makes it wait for one.
 *
 * @throws InvalidQueryError (400)
 */
export async function sendPage(
  hub: Hub,
  { topics, everyone }: ResolvedStreamOptions,
  source: PageSource,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<void> {
  const query = request.query as Record<string, unknown>
  const limit = number(query, 'limit', 1, MAX_LIMIT) ?? DEFAULT_LIMIT
  const wait = number(query, 'wait', 0, MAX_WAIT) ?? 0
  const { log, audiences } = source
  // An empty value counts as absent, as with `lastEventId`.
  const since = query.since || undefined
  if (since !== undefined && typeof since !== 'string') throw new InvalidQueryError('since', 'one id')
  const fromOldest = since === undefined || since === '0'
  reply.header('cache-control', 'no-store')
  const audience = audiences.hold(topics, everyone)
  try {
    const position = fromOldest
      ? { seq: log.oldestCursor }
      : since === 'now' && !log.has(since)
        ? { seq: log.head }
        : source.reader.positionOf(since, audience)
    if (!('seq' in position)) {
      refuse(log, reply)
      return
    }
    let page = read(source, audience, Math.max(position.seq, log.oldest - 1), limit)
    if (page.events.length === 0 && wait > 0) {
      // Everything before the event that ends the wait is for other audiences, so the page can start there.
      const quietUpTo = () => Math.max(position.seq, log.head - 1)
      const { lives } = log
      const seq = await hub.longPolls.wait(audience, wait, request.raw, reply.raw, quietUpTo)
      // After a `rebase` the log has other events at the same `seq`.
      if ((seq < log.oldest - 1 || log.lives !== lives) && !fromOldest) {
        refuse(log, reply)
        return
      }
      if (hub.closing) leaveConnection(request, reply)
      page = read(source, audience, Math.max(seq, log.oldest - 1), limit)
    }
    reply.send(page)
  } finally {
    audiences.release(audience)
  }
}

function refuse(log: EventLog, reply: FastifyReply): void {
  const { code, message, statusCode } = new ResyncRequiredError()
  reply.code(410).send({ statusCode, code, error: 'Gone', message, oldest: log.cursorAt(log.oldestCursor) })
}

function read(source: PageSource, audience: Audience, cursor: number, limit: number): Page {
  const { log, reader } = source
  const events: PlainEvent[] = []
  let bytes = 0
  for (const entry of reader.heard(audience, cursor, log.head)) {
    bytes += entry.size
    // At least one event, however large.
    const isFull = events.length === limit || (bytes > MAX_BYTES && events.length > 0)
    if (isFull) return { events, cursor: log.cursorAt(entry.seq - 1), hasMore: true }
    events.push(plainEvent(entry))
  }
  return { events, cursor: log.cursorAt(log.head), hasMore: false }
}

function number(query: Record<string, unknown>, name: string, min: number, max: number): number | undefined {
  const value = query[name]
  if (value === undefined) return undefined
  const parsed = typeof value === 'number' ? value : /^\d{1,9}$/.test(String(value)) ? Number(value) : Number.NaN
  if (!(parsed >= min && parsed <= max)) throw new InvalidQueryError(name, `a whole number from ${min} to ${max}`)
  return parsed
}
