import type { FastifyReply, FastifyRequest } from 'fastify'
import { InvalidQueryError, ResyncRequiredError } from '../api/errors.js'
import type { Source } from '../hub/clients/client-context.js'
import type { Hub } from '../hub/hub.js'
import type { Audience } from '../log/audience.js'
import type { EventLog } from '../log/event-log.js'
import { type PlainEvent, plainEvent } from '../log/plain-event.js'
import type { Hearing } from './hearing.js'
import { leaveConnection } from './refusal.js'

/** A part of the log, as JSON. */
export interface Page {
  events: PlainEvent[]
  /** What to ask for next, as `since`. */
  cursor: string
  /** Whether there is more already. */
  hasMore: boolean
}

/** What a page is read from. */
type PageSource = Pick<Source, 'log' | 'reader' | 'audiences'>

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000
const MAX_WAIT = 60_000
/** Bytes of events after which a page ends: a client that does not read keeps its page in memory. */
const MAX_BYTES = 1024 * 1024

/**
 * Answers a page of the log: `?since=<id>&limit=100`, from the oldest event that can be replayed where `since` is `0` or
 * absent, and from what comes next where it is `now`. It ends after `limit` events or a MiB of them. With `?wait=ms` it waits so long for the first event, where there is none yet.
 *
 * @throws InvalidQueryError (400)
 */
export async function sendPage(
  hub: Hub,
  { topics, everyone }: Hearing,
  source: PageSource,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<void> {
  const query = request.query as Record<string, unknown>
  const limit = number(query, 'limit', 1, MAX_LIMIT) ?? DEFAULT_LIMIT
  const wait = number(query, 'wait', 0, MAX_WAIT) ?? 0
  const { log, audiences } = source
  // An empty one is none, as with `lastEventId`.
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
      // What came before the event that wakes it was of no concern to it.
      const quietUpTo = () => Math.max(position.seq, log.head - 1)
      const { lives } = log
      const seq = await hub.longPolls.wait(audience, wait, request.raw, reply.raw, quietUpTo)
      // A log that has begun anew has other events at the same places.
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
    // One event always, however large.
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
