// The wire format: how events and the plugin's own messages are written as frames of an event stream (docs/wire.md).
// Which events are accepted from an app is checked in event-encoder.ts and here; where frames are kept is event-log.ts.

import type { EventOptions } from '../api/api.js'
import { EventTooLargeError, InvalidEventError, type ResyncReason, UnserializableError } from '../api/errors.js'
import { isUnexpectedPromise } from '../api/input/checks.js'
import { endSentence, show } from '../api/input/error-text.js'
import { unknownName } from '../api/input/nearest-name.js'
import type { Labels } from './log-entry.js'
import { isTopic, TOPIC_TAKES } from './topic.js'

/**
 * Event names that an app may not use, each with the reason: pages could not tell the app's events from those of the
 * plugin or of EventSource.
 */
export const RESERVED_NAMES: ReadonlyMap<string, string> = new Map([
  ['connected', 'the plugin sends it when a stream begins'],
  ['keepalive', 'the plugin sends it to clients that get nothing else'],
  ['resync', 'the plugin sends it to clients that have missed events'],
  ['stay-away', 'the plugin sends it to clients that are to stay away'],
  ['open', 'EventSource fires an event of that name when it has connected'],
  ['error', 'EventSource fires an event of that name when its connection fails']
])

/** Returns why an app may not use an event name, as the end of a sentence; undefined if it may. */
export function whyReserved(event: string): string | undefined {
  const owner = RESERVED_NAMES.get(event)
  return owner === undefined ? undefined : `${owner}, and pages could not tell the two apart`
}

/** The last event id of a client that has been asked to stay away. No log assigns it, and an app may not use it. */
export const STAY_AWAY = 'stay-away'

/** The error for an id given by the app that the log could assign to another event. */
export function reservedIdError(id: string): Error {
  return new InvalidEventError(
    'id',
    `'${id}'`,
    'any id but one of the form <epoch>-<seq>, which the log gives by itself'
  )
}

const LINE_BREAK = /\r\n|\r|\n/g
const NAME_FORBIDDEN = /[\r\n\0]/
/**
 * Most clients that set the `Last-Event-ID` header themselves can send only printable ASCII: with anything else some
 * throw, and some never reconnect.
 */
const ID_ALLOWED = /^[\x20-\x7e]+$/
/**
 * Maximum length of an id, characters. Clients send it back in a header, and servers and proxies refuse long headers.
 */
const MAX_ID_LENGTH = 1024
const TEXT_MARK = ': text\n'
/** Length of a client's id (a UUID), characters. */
const CLIENT_ID_LENGTH = 36
const FIELDS: readonly string[] = ['event', 'id', 'topic', 'except']

/**
 * Checks the options of one event and copies them, so that later changes to the object have no effect.
 *
 * @throws InvalidEventError on an unknown field, on a line break or NUL in `event`, on a reserved name, and on an
 *   `id` that is blank, has more than 1,024 characters, or holds anything but printable ASCII: clients send it back in
 *   the header `Last-Event-ID` (WHATWG HTML 9.2.4), and many of them can send nothing else.
 */
export function readEventOptions(options: EventOptions, fields = FIELDS): EventOptions {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidEventError('options', show(options), 'an object')
  }
  for (const field in options) {
    if (!fields.includes(field)) {
      throw new InvalidEventError(field, unknownName(field, fields))
    }
  }
  const { event, id, topic, except } = options
  if (event !== undefined && (typeof event !== 'string' || NAME_FORBIDDEN.test(event))) {
    throw new InvalidEventError('event', show(event), 'a string without line breaks and NUL')
  }
  const reserved = event === undefined ? undefined : whyReserved(event)
  if (reserved !== undefined) throw new InvalidEventError('event', show(event), `another name: ${reserved}`)
  if (id !== undefined && !isId(id)) {
    throw new InvalidEventError(
      'id',
      show(id),
      `a string of printable ASCII that is not blank, of ${MAX_ID_LENGTH} characters at most`
    )
  }
  if (topic !== undefined && !isTopic(topic)) throw new InvalidEventError('topic', show(topic), TOPIC_TAKES)
  if (except !== undefined && typeof except !== 'string') {
    throw new InvalidEventError('except', show(except), 'the id of a client')
  }
  // `except` may come from a request header. A value that is too long to be a client id excludes nobody and is dropped.
  return { event, id, topic, except: except !== undefined && except.length > CLIENT_ID_LENGTH ? undefined : except }
}

/** Whether an app may give an event this id. */
export function isId(id: unknown): boolean {
  return (
    typeof id === 'string' &&
    id.length <= MAX_ID_LENGTH &&
    ID_ALLOWED.test(id) &&
    id.trim() !== '' &&
    id.trim() !== STAY_AWAY
  )
}

/**
 * Turns data into text.
 *
 * @throws UnserializableError when `serialize` throws, or gives anything but a string (JSON has no form for
 *   `undefined`, functions and symbols).
 */
export function serializeData(data: unknown, serialize: (data: unknown) => string): string {
  let text: unknown
  try {
    text = serialize(data)
  } catch (cause) {
    const error = new UnserializableError(endSentence(cause instanceof Error ? cause.message : show(cause)))
    error.cause = cause
    throw error
  }
  if (typeof text !== 'string') {
    const given = isUnexpectedPromise(text) ? 'a promise' : show(text)
    throw new UnserializableError(`serialize gave ${given}, not a string.`)
  }
  return text
}

/**
 * Encodes the lines of an event that follow its id: its name and data, and the blank line that dispatches it (WHATWG
 * HTML, 9.2.5). Each CR, LF and CRLF in the text starts another `data:` line; the client joins them with LF.
 *
 * @throws InvalidEventError if the text is not a string
 * @throws EventTooLargeError if text, name and id have more than `maxBytes` bytes of UTF-8
 */
export function encodeBody(text: string, { event = '', id = '' }: EventOptions, maxBytes: number): string {
  if (typeof text !== 'string') throw new InvalidEventError('data', show(text), 'a string')
  // A UTF-16 code unit takes at most three bytes of UTF-8, so most events need not be measured.
  if ((text.length + event.length + id.length) * 3 > maxBytes) {
    const bytes = Buffer.byteLength(text) + Buffer.byteLength(event) + Buffer.byteLength(id)
    if (bytes > maxBytes) throw new EventTooLargeError(bytes, maxBytes)
  }
  const data = hasLineBreak(text) ? text.replace(LINE_BREAK, '\ndata: ') : text
  return event === '' ? `data: ${data}\n\n` : `event: ${event}\ndata: ${data}\n\n`
}

/** Same as testing LINE_BREAK, in a third of the time if there is none. */
function hasLineBreak(text: string): boolean {
  return text.includes('\n') || text.includes('\r')
}

/**
 * Encodes what the fields of the standard cannot say as comments before an event, for `pylon-sse/client`: the event's
 * topic, and whether its data is text that must not be parsed as JSON.
 */
export function encodeMarks({ topic, isText }: Labels): string {
  if (topic === undefined) return isText === true ? TEXT_MARK : ''
  return isText === true ? `: topic ${topic}\n${TEXT_MARK}` : `: topic ${topic}\n`
}

/** Encodes a whole frame: the id, if there is one, and the body. `lines` come first and are not part of the event. */
export function encodeFrame(id: string | undefined, body: string, lines = ''): string {
  return id === undefined ? `${lines}${body}` : `${lines}id: ${id}\n${body}`
}

/** Contents of the first block of a stream. */
export interface Greeting {
  /** Reconnection time, ms. */
  readonly retry: number | undefined
  /** The last event id that the client starts with. Undefined if a `resync` follows, which has one. */
  readonly id: string | undefined
  /** Id of the client, a UUID. */
  readonly client: string
  /** Interval of keepalives, ms; 0 for none. */
  readonly keepAlive: number
}

/**
 * Encodes the first block of a stream, an event named `connected`. By the standard (WHATWG HTML, 9.2.6) an id without
 * an event would set the last event id. But Firefox and most clients outside of browsers take an id only from an event,
 * and one that is cut off before its first event would reconnect without an id.
 */
export function encodeConnected({ retry, id, client, keepAlive }: Greeting): string {
  const time = retry === undefined ? '' : encodeRetry(retry)
  // Not by `JSON.stringify`, since each connect pays for it: a UUID needs no escaping.
  const data = `{"client":"${client}","keepAlive":${keepAlive}}`
  return encodeFrame(id, `event: connected\ndata: ${data}\n\n`, `: connected\n${time}`)
}

/**
 * Encodes a reconnection time, ms. The line takes effect without a blank line after it (WHATWG HTML, 9.2.6). A blank
 * line would make it a block, which some clients turn into an empty message.
 */
export function encodeRetry(retry: number): string {
  return `retry: ${retry}\n`
}

/** Encodes a comment that tells a client that the app has subscribed it to a topic or pattern, or unsubscribed it. */
export function encodeSubscription(topic: string, isSubscribed: boolean): string {
  return `: ${isSubscribed ? 'subscribed' : 'unsubscribed'} ${topic}\n`
}

/** Encodes the event that tells a client that it has missed events. The stream continues after `id`. */
export function encodeResync(id: string, reason: ResyncReason, missed: number | null): string {
  return encodeFrame(id, `event: resync\ndata: ${JSON.stringify({ reason, missed })}\n\n`)
}

/**
 * Encodes a keepalive: a comment, which clients ignore and proxies count as traffic. It has no blank line after it,
 * which would make it a block, and some clients turn that into an empty message.
 *
 * @param isEvent whether an event follows, which pages can observe
 * @param id the cursor, if the client has not been told of it yet
 */
export function encodeKeepAlive(isEvent: boolean, id?: string): string {
  const comment = ': keepalive\n'
  return isEvent ? encodeFrame(id, 'event: keepalive\ndata: {}\n\n', comment) : comment
}

/**
 * What a client is told last: a reconnection time, ms, or to stay away. Never empty, since an empty chunk would end the
 * body.
 */
export type Farewell = { readonly retry: number } | { readonly stayAway: true }

/**
 * Encodes the last bytes of a stream: a reconnection time, or the id that makes a client stay away. The id comes with
 * an event, since most clients take an id only from one.
 */
export function encodeFarewell(farewell: Farewell): string {
  return 'retry' in farewell ? encodeRetry(farewell.retry) : encodeFrame(STAY_AWAY, `event: ${STAY_AWAY}\ndata: {}\n\n`)
}

/** Decodes the name and the text of an event from its frame. */
export function decodeFrame(frame: Buffer): { event: string | undefined; text: string } {
  let event: string | undefined
  const data: string[] = []
  for (const line of frame.toString().split('\n')) {
    if (line.startsWith('data: ')) data.push(line.slice(6))
    else if (line.startsWith('event: ')) event = line.slice(7)
  }
  return { event, text: data.join('\n') }
}
