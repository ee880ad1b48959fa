// `until`: the event after which a stream ends.

import type { EventChunk } from '../../log/chunk.js'
import { decodeFrame } from '../../log/encode.js'
import type { LogEntry } from '../../log/log-entry.js'
import { type PlainEvent, plainEvent } from '../../log/plain-event.js'

/**
 * The last event of a stream: the first with one of these names, or the first for which a function returns true. The
 * function must not throw.
 */
export type Until = string | readonly string[] | ((event: PlainEvent) => boolean)

/** The event that was decoded last: the clients of an audience check the same event one after another. */
let lastSeen: { readonly entry: LogEntry; readonly event: PlainEvent } | undefined

/** Whether a stream ends after an event. */
export function isLast(until: Until, entry: LogEntry): boolean {
  if (typeof until !== 'function') {
    const { event } = decodeFrame(entry.frame)
    return event !== undefined && (typeof until === 'string' ? event === until : until.includes(event))
  }
  if (lastSeen?.entry !== entry) lastSeen = { entry, event: plainEvent(entry) }
  return until({ ...lastSeen.event })
}

/** Returns a chunk up to and including the last event of a stream; undefined if that is not in it. */
export function upToLast(until: Until, chunk: EventChunk): EventChunk | undefined {
  const index = chunk.entries.findIndex((entry) => isLast(until, entry))
  return index < 0 ? undefined : chunk.upTo(index)
}
