// Reading the log as JSON pages, for networks in which streams do not get through. Loaded only when that happens.

import type { Attempt } from './attempt.js'
import type { Connection } from './connection.js'
import { AGAIN } from './errors.js'
import { keepalive, type SseEvent } from './event.js'

/** A page, as docs/pages.md describes it. */
interface Page {
  events: { id: string; event?: string; topic?: string; data: unknown }[]
  cursor: string
  hasMore: boolean
}

/** How long the server may hold a request, ms: less than the usual timeout of a proxy. */
const WAIT = 25_000
/** Time after which the stream is tried again, ms. */
const STREAM_AFTER = 300_000

/**
 * Reads pages one after another, until the attempt has ended.
 *
 * @throws AGAIN when it is time to try the stream again
 */
export async function readPages(attempt: Attempt, connection: Connection): Promise<void> {
  const { lastEventId, requests, sink } = connection
  const receive = (event: SseEvent) => connection.receive(event, attempt)
  const end = Date.now() + STREAM_AFTER
  let since = lastEventId
  let first: 'connected' | 'resync' | undefined = 'connected'
  let wait = 0
  while (Date.now() < end && !attempt.signal.aborted) {
    const response = await requests.send(attempt, { since: since ?? 'now', wait: String(wait), limit: '1000' }, wait)
    if (response.status === 410) {
      await response.body?.cancel()
      since = undefined
      first = 'resync'
      wait = 0
      continue
    }
    const { events, cursor, hasMore } = (await response.json()) as Page
    const data = first === 'resync' ? { reason: 'expired', missed: null } : {}
    if (first !== undefined) receive({ event: first, id: since ?? cursor, data, topic: undefined })
    first = undefined
    for (const { event = 'message', data, id, topic } of events) receive({ event, data, id, topic })
    since = cursor
    receive(keepalive(cursor))
    attempt.watchdog.stop()
    await sink.room()
    wait = hasMore ? 0 : WAIT
  }
  throw AGAIN
}
