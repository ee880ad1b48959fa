import type { SseEvent } from './event.js'

/** What pages of JSON are asked for by. */
export interface PageReader {
  /** The last event id, if any. */
  readonly since: string | undefined
  /** @param wait how long the server may keep the request, ms */
  request(query: Record<string, string>, wait: number): Promise<Response>
  receive(event: SseEvent): void
  /** Resolves when more is taken; nothing, where it is at once. */
  room(): Promise<void> | undefined
}

/** As docs/pages.md has it. */
interface Page {
  events: { id: string; event?: string; topic?: string; data: unknown }[]
  cursor: string
  hasMore: boolean
}

/** How long the server may keep a request, ms: below what proxies wait for. */
const WAIT = 25_000
/** After how long the stream is tried again, ms. */
const STREAM_AFTER = 300_000

/** Reads the log by pages, where streams do not get through. Resolves when it is time to try the stream again. */
export async function readPages({ since, request, receive, room }: PageReader, signal: AbortSignal): Promise<void> {
  const end = Date.now() + STREAM_AFTER
  let first: 'connected' | 'resync' | undefined = 'connected'
  let wait = 0
  while (Date.now() < end && !signal.aborted) {
    const response = await request({ since: since ?? 'now', wait: String(wait), limit: '1000' }, wait)
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
    receive({ event: 'keepalive', id: cursor, data: {}, topic: undefined })
    await room()
    wait = hasMore ? 0 : WAIT
  }
}
