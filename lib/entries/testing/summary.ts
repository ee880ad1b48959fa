// What has come, as error messages of the test client show it.

import { nearest } from '../../api/input/nearest-name.js'

/** Number of events that a message shows: the last ones. */
const MAX_EVENTS = 10
/** Maximum length of an event's data in a message, characters. */
const MAX_DATA = 120
/** Maximum length of the body in a message about a response that is not an event stream, characters. */
const MAX_BODY = 500

/** What messages show of an event. Its data is the text that came, or has been parsed. */
export interface ShownEvent {
  readonly event: string | undefined
  readonly id: string | undefined
  readonly topic?: string | undefined
  readonly data: unknown
}

/** What messages show of a response. */
export interface ShownAnswer {
  readonly status: number
  readonly contentType: string | null
  readonly isStream: boolean
  readonly body: string
}

/** Shows events, one per line. The first `taken` ones have been returned by a wait, or skipped. */
export function showEvents(events: readonly ShownEvent[], taken: number): string {
  if (events.length === 0) return 'No event has come.'
  const shown = events.slice(-MAX_EVENTS)
  const before = events.length - shown.length
  const lines = shown.map((event, i) => `  ${showEvent(event, before + i < taken)}`)
  if (before > 0) lines.unshift(`  … ${before} before`)
  return `${events.length === 1 ? '1 event has' : `${events.length} events have`} come:\n${lines.join('\n')}`
}

/** Shows one event: its name, its id and topic, its data. */
export function showEvent({ event = 'message', id, topic, data }: ShownEvent, isTaken = false): string {
  const notes = [id && `id ${id}`, topic && `topic ${topic}`, isTaken && 'taken'].filter(Boolean)
  const text = typeof data === 'string' ? data : JSON.stringify(data)
  return `${event}${notes.length === 0 ? '' : ` (${notes.join(', ')})`} ${shorten(text, MAX_DATA)}`.trimEnd()
}

/** Shows a response: its status and type, and its body if it is not an event stream. */
export function showAnswer({ status, contentType, isStream, body }: ShownAnswer): string {
  const what = [status, contentType].filter((part) => part !== null).join(', ')
  if (isStream) return `The answer: ${what}.`
  return `The answer is no event stream: ${what}${body === '' ? '' : `: ${shorten(body, MAX_BODY)}`}.`
}

/** A hint if what was awaited has nearly the name of what came. */
export function hint(name: string, events: readonly ShownEvent[]): string {
  const names = [...new Set(events.map(({ event = 'message' }) => event))]
  const meant = names.includes(name) ? undefined : nearest(name, names)
  return meant === undefined ? '' : ` (did you mean '${meant}'?)`
}

function shorten(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max)}… (${text.length} characters)` : text
}
