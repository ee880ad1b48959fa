import { decodeFrame } from './encode.js'
import type { LogEntry } from './log-entry.js'

/** An event as apps and pages see it, rather than streams. */
export interface PlainEvent {
  id: string
  event?: string
  topic?: string
  /** The event's data, or its text where it is not JSON. */
  data: unknown
}

/** Takes an event of the log apart. */
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
