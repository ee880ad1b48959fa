import { EventTooLargeError, InvalidEventError, type ResyncReason, UnserializableError } from './errors.js'
import { isTopic, TOPIC_TAKES } from './topic.js'
import { isUnaskedPromise } from './unasked-promise.js'

/** What can be said of an event beside its data. */
export interface EventOptions {
  /** Name of the event (`addEventListener(name)` in the browser). Default: none, which browsers call `message`. */
  event?: string | undefined
  /** The event's own id, at most once in the log. Default: `<epoch>-<seq>`, given by the log. */
  id?: string | undefined
  /** Who hears it: the clients subscribed to this topic. Default: everyone. */
  topic?: string | undefined
  /** Id of a client that does not hear it: the sender's own, say. One that no client has does nothing. Default: none. */
  except?: string | undefined
}

/** Names of events that the plugin sends itself. An app's own event of such a name could not be told from it. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set(['connected', 'keepalive'])

/** The id that a client brings back which has been asked to stay away. No log gives it, and no user may. */
export const STAY_AWAY = 'stay-away'

const LINE_BREAK = /\r\n|\r|\n/g
const NAME_FORBIDDEN = /[\r\n\0]/
// biome-ignore lint/suspicious/noControlCharactersInRegex: an id comes back in a header, where no control character may stand
const ID_FORBIDDEN = /[\x00-\x1f\x7f]/
/** Neither lone surrogates nor their replacement: as UTF-8 they are one, so that ids would not stay apart. */
const ID_AMBIGUOUS = /[\p{Surrogate}\ufffd]/u
/** Bytes of an id. It comes back in a header, and servers and proxies refuse large ones. */
const MAX_ID_BYTES = 1024
/** Characters of a client's id, a UUID. */
const CLIENT_ID_LENGTH = 36
const FIELDS: readonly string[] = ['event', 'id', 'topic', 'except']

/**
 * Reads the options of one event, once: what was checked is what is sent, whatever becomes of the object.
 *
 * @throws InvalidEventError on an unknown field, on a line break or NUL in `event`, on a name of the plugin's own events, and on
 *   an `id` that is blank, has more than 1,024 bytes, or holds control characters, lone surrogates or U+FFFD: the
 *   browser sends it back as UTF-8 in the `Last-Event-ID` header (WHATWG HTML 9.2.4), which could not carry it.
 */
export function readEventOptions(options: EventOptions, fields = FIELDS): EventOptions {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidEventError('options', show(options), 'an object')
  }
  for (const field in options) {
    if (!fields.includes(field)) {
      throw new InvalidEventError(field, 'a value', `nothing: the fields are ${fields.join(', ')}`)
    }
  }
  const { event, id, topic, except } = options
  if (event !== undefined && (typeof event !== 'string' || NAME_FORBIDDEN.test(event))) {
    throw new InvalidEventError('event', show(event), 'a string without line breaks and NUL')
  }
  if (event !== undefined && RESERVED_NAMES.has(event)) {
    throw new InvalidEventError(
      'event',
      show(event),
      `a name that is not the plugin's own: ${[...RESERVED_NAMES].join(', ')}`
    )
  }
  if (id !== undefined && !isId(id)) {
    throw new InvalidEventError(
      'id',
      show(id),
      `a string that is not blank, of ${MAX_ID_BYTES} bytes at most, without control characters and U+FFFD`
    )
  }
  if (topic !== undefined && !isTopic(topic)) throw new InvalidEventError('topic', show(topic), TOPIC_TAKES)
  if (except !== undefined && typeof except !== 'string') {
    throw new InvalidEventError('except', show(except), 'the id of a client')
  }
  // It may come from a header: one that no client can have leaves nobody out, and is not kept.
  return { event, id, topic, except: except !== undefined && except.length > CLIENT_ID_LENGTH ? undefined : except }
}

function isId(id: unknown): boolean {
  return (
    typeof id === 'string' &&
    id.trim() !== '' &&
    id.trim() !== STAY_AWAY &&
    !ID_FORBIDDEN.test(id) &&
    !ID_AMBIGUOUS.test(id) &&
    Buffer.byteLength(id) <= MAX_ID_BYTES
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
    const error = new UnserializableError(cause instanceof Error ? cause.message : show(cause))
    error.cause = cause
    throw error
  }
  if (typeof text !== 'string') {
    const given = isUnaskedPromise(text) ? 'a promise' : show(text)
    throw new UnserializableError(`serialize gave ${given}, not a string`)
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

/** A whole frame: the id, where the event has one, and its body. */
export function encodeFrame(id: string | undefined, body: string): Buffer {
  const text = id === undefined ? body : `id: ${id}\n${body}`
  // Not from Node's pool: a frame that the log keeps would keep 8 KiB of others' bytes with it.
  const frame = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  frame.write(text)
  return frame
}

/**
 * The first block of a stream. The id sets the client's last event id without dispatching anything (WHATWG HTML
 * 9.2.6), so that a client cut off before its first event resumes too.
 */
export function encodeConnected(retry: number | undefined, id: string | undefined): Buffer {
  return Buffer.from(
    `: connected\n${retry === undefined ? '' : `retry: ${retry}\n`}${id === undefined ? '' : `id: ${id}\n`}\n`
  )
}

/** A block that only sets the reconnection time, in ms. */
export function encodeRetry(retry: number): Buffer {
  return Buffer.from(`retry: ${retry}\n\n`)
}

/** Tells a client that it missed events: `id` is where it goes on from. */
export function encodeResync(id: string, reason: ResyncReason, missed: number | null): Buffer {
  return encodeFrame(id, `event: resync\ndata: ${JSON.stringify({ reason, missed })}\n\n`)
}

/** A comment, which clients ignore and proxies take for traffic; with the cursor, where that has moved on quietly. */
export function encodeKeepAlive(id?: string): Buffer {
  return Buffer.from(id === undefined ? ': keepalive\n\n' : `: keepalive\nid: ${id}\n\n`)
}

/**
 * A last block: a reconnection time, ms, or the id that keeps a client away. That one is an event, by a name for which
 * few listen, since some clients forget an id that comes without data.
 */
export function encodeFarewell({ retry, stayAway = false }: { retry?: number; stayAway?: boolean }): Buffer {
  const time = retry === undefined ? '' : `retry: ${retry}\n`
  return Buffer.from(`${time}${stayAway ? `id: ${STAY_AWAY}\nevent: ${STAY_AWAY}\ndata: {}\n` : ''}\n`)
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

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 64))
  if (typeof value === 'function') return 'a function'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
