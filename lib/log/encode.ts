import type { EventOptions } from '../api/api.js'
import {
  EventTooLargeError,
  endSentence,
  InvalidEventError,
  type ResyncReason,
  UnserializableError
} from '../api/errors.js'
import { unknownName } from '../api/input/nearest-name.js'
import { show } from '../api/input/show.js'
import { isUnaskedPromise } from '../api/input/unasked-promise.js'
import type { Labels } from './log-entry.js'
import { isTopic, TOPIC_TAKES } from './topic.js'

/** Names of events that an app may not send, since its own event could not be told from another's, and whose they are. */
export const RESERVED_NAMES: ReadonlyMap<string, string> = new Map([
  ['connected', 'the plugin tells a client by it that its stream has begun'],
  ['keepalive', 'the plugin sends it to clients that get nothing else'],
  ['resync', 'the plugin tells a client by it that it has missed events'],
  ['stay-away', 'the plugin tells a client by it not to come back'],
  ['open', 'an EventSource has an event of that name when it has connected'],
  ['error', 'an EventSource has an event of that name when its connection fails']
])

/** Why an app may not send events of a name, for the end of a sentence; nothing, where it may. */
export function whyReserved(event: string): string | undefined {
  const owner = RESERVED_NAMES.get(event)
  return owner === undefined ? undefined : `${owner}, and pages could not tell the two apart`
}

/** The id that a client brings back which has been asked to stay away. No log gives it, and no user may. */
export const STAY_AWAY = 'stay-away'

/** For an event's own id that the log could give to another event. */
export function reservedIdError(id: string): Error {
  return new InvalidEventError(
    'id',
    `'${id}'`,
    'any id but one of the form <epoch>-<seq>, which the log gives by itself'
  )
}

const LINE_BREAK = /\r\n|\r|\n/g
const NAME_FORBIDDEN = /[\r\n\0]/
/** Most clients that set the header `Last-Event-ID` themselves cannot send anything else: some throw, some never come back. */
const ID_ALLOWED = /^[\x20-\x7e]+$/
/** Characters of an id. It comes back in a header, and servers and proxies refuse large ones. */
const MAX_ID_LENGTH = 1024
const TEXT_MARK = ': text\n'
/** Characters of a client's id, a UUID. */
const CLIENT_ID_LENGTH = 36
const FIELDS: readonly string[] = ['event', 'id', 'topic', 'except']

/**
 * Reads the options of one event, once: what was checked is what is sent, whatever becomes of the object.
 *
 * @throws InvalidEventError on an unknown field, on a line break or NUL in `event`, on a name of the plugin's own events, and on
 *   an `id` that is blank, has more than 1,024 characters, or holds anything but printable ASCII: clients send it back in
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
  // It may come from a header: one that no client can have leaves nobody out, and is not kept.
  return { event, id, topic, except: except !== undefined && except.length > CLIENT_ID_LENGTH ? undefined : except }
}

/** Whether an event can have this id of its own. */
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
    const given = isUnaskedPromise(text) ? 'a promise' : show(text)
    throw new UnserializableError(`serialize gave ${given}, not a string.`)
  }
  return text
}

/**
 * The lines of an event that follow its id: name and data, up to and with the blank line that dispatches it (WHATWG
 * HTML 9.2.5). CR, LF and CRLF in the text each begin another `data:` line; the client joins the lines with LF.
 *
 * @throws InvalidEventError when the text is not a string.
 * @throws EventTooLargeError when text, name and id have more than `maxBytes` bytes of UTF-8.
 */
export function encodeBody(text: string, { event = '', id = '' }: EventOptions, maxBytes: number): string {
  if (typeof text !== 'string') throw new InvalidEventError('data', show(text), 'a string')
  // Most events need not be measured: no character takes more than three bytes.
  if ((text.length + event.length + id.length) * 3 > maxBytes) {
    const bytes = Buffer.byteLength(text) + Buffer.byteLength(event) + Buffer.byteLength(id)
    if (bytes > maxBytes) throw new EventTooLargeError(bytes, maxBytes)
  }
  const data = hasLineBreak(text) ? text.replace(LINE_BREAK, '\ndata: ') : text
  return event === '' ? `data: ${data}\n\n` : `event: ${event}\ndata: ${data}\n\n`
}

/** As an expression would tell, in a third of its time where there is none. */
function hasLineBreak(text: string): boolean {
  return text.includes('\n') || text.includes('\r')
}

/**
 * What `pylon-sse/client` is told of an event that the fields of the standard do not say, in comments before it: its topic,
 * and whether its data is text that is not to be parsed as JSON.
 */
export function encodeMarks({ topic, isText }: Labels): string {
  if (topic === undefined) return isText === true ? TEXT_MARK : ''
  return isText === true ? `: topic ${topic}\n${TEXT_MARK}` : `: topic ${topic}\n`
}

/** A whole frame: the id, where the event has one, and its body; with lines in front that are no part of the event. */
export function encodeFrame(id: string | undefined, body: string, lines = ''): Buffer {
  const text = id === undefined ? `${lines}${body}` : `${lines}id: ${id}\n${body}`
  // Not from Node's pool: a frame that the log keeps would keep 8 KiB of others' bytes with it.
  const frame = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  frame.write(text)
  return frame
}

/** What a client is told first. */
export interface Greeting {
  /** Reconnection time, ms. */
  readonly retry: number | undefined
  /** The last event id to begin with. None for a client that is about to get a `resync`, which has one. */
  readonly id: string | undefined
  /** Id of the client. */
  readonly client: string
  /** Interval of keepalives, ms; 0 for none. */
  readonly keepAlive: number
}

/**
 * The first block of a stream, an event by the name of `connected`. An id alone would set the last event id by the standard
 * (WHATWG HTML 9.2.6), but Firefox and most clients that are no browsers take an id only with an event: one that is cut off
 * before its first event would come back without.
 */
export function encodeConnected({ retry, id, client, keepAlive }: Greeting): Buffer {
  const time = retry === undefined ? '' : encodeRetry(retry)
  return encodeFrame(id, `event: connected\ndata: ${JSON.stringify({ client, keepAlive })}\n\n`, `: connected\n${time}`)
}

/**
 * Sets the reconnection time, ms. A line alone takes effect at once (WHATWG HTML 9.2.6). With a blank line it would be a
 * block, of which some clients make an empty message.
 */
export function encodeRetry(retry: number): string {
  return `retry: ${retry}\n`
}

/** Tells a client, in a comment, that the app has subscribed it to a topic or pattern, or does so no longer. */
export function encodeSubscription(topic: string, isSubscribed: boolean): Buffer {
  return Buffer.from(`: ${isSubscribed ? 'subscribed' : 'unsubscribed'} ${topic}\n`)
}

/** Tells a client that it missed events: `id` is where it goes on from. */
export function encodeResync(id: string, reason: ResyncReason, missed: number | null): Buffer {
  return encodeFrame(id, `event: resync\ndata: ${JSON.stringify({ reason, missed })}\n\n`)
}

/**
 * A comment, which clients ignore and proxies take for traffic. It is a line alone: some clients make an empty message of
 * the block that a blank line would make it.
 *
 * @param isEvent whether an event follows, which a page can see, too; it carries the cursor where that has moved on quietly
 */
export function encodeKeepAlive(isEvent: boolean, id?: string): Buffer {
  const comment = ': keepalive\n'
  return isEvent ? encodeFrame(id, 'event: keepalive\ndata: {}\n\n', comment) : Buffer.from(comment)
}

/** What a client is left with: a reconnection time, ms, or the wish that it stays away. Never nothing: a chunk of no bytes ends a body. */
export type Farewell = { readonly retry: number } | { readonly stayAway: true }

/**
 * The last bytes of a stream: a reconnection time, ms, or the id that keeps a client away. That one comes in an event, by a
 * name for which few listen, since most clients take an id only with an event.
 */
export function encodeFarewell(farewell: Farewell): Buffer {
  return 'retry' in farewell
    ? Buffer.from(encodeRetry(farewell.retry))
    : encodeFrame(STAY_AWAY, `event: ${STAY_AWAY}\ndata: {}\n\n`)
}

/** What was encoded, from a whole frame. */
export function decodeFrame(frame: Buffer): { event: string | undefined; text: string } {
  let event: string | undefined
  const data: string[] = []
  for (const line of frame.toString().split('\n')) {
    if (line.startsWith('data: ')) data.push(line.slice(6))
    else if (line.startsWith('event: ')) event = line.slice(7)
  }
  return { event, text: data.join('\n') }
}
