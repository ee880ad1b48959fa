// Events as plain objects, for JSON pages and callbacks of the app. Streams send frames instead (encode.ts).

import { decodeFrame } from './encode.js'
import type { LogEntry } from './log-entry.js'

/** An event as apps and JSON pages see it. */
export interface PlainEvent {
  id: string
  event?: string
  topic?: string
  /** The event's data, or its text if that is not JSON. */
  data: unknown
}

/** Decodes an event of the log. */
export function plainEvent({ id, topic, isText, frame }: LogEntry): PlainEvent {
  const { event, text } = decodeFrame(frame)
  return {
    id,
    ...(event !== undefined && { event }),
    ...(topic !== undefined && { topic }),
    data: isText ? text : parse(text)
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
