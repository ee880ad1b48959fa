// Checks the entries that are read from an engine: any program may have written them.

import { isId } from '../log/encode.js'
import { isTopic } from '../log/topic.js'
import type { BackplaneEntry, BackplaneEvent, PublishRequest } from './backplane.js'
import { readOrder } from './command-format.js'
import { isEventBody } from './event-body.js'
import { MAX_KEY, MAX_REQUEST_EVENTS } from './idempotency.js'
import { isRunId, type RunMark, readRunMessage } from './run-message.js'

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a name must not have
const MESSAGE_ID = /^[^\x00-\x1f\x7f]{1,200}:([1-9]\d{0,15})$/
/** The form of a digest. */
const MAX_DIGEST = 255

/**
 * Returns why an entry does not have the format of docs/backplane.md; undefined if it has. Any program with access to the
 * engine may have written the entry, so its fields may have any type of JSON.
 */
export function faultOf({ messageId, message }: BackplaneEntry): string | undefined {
  if (!isMessageId(messageId)) return "its message id is not '<publisher>:<number>'"
  if (typeof message !== 'object' || message === null || typeof message.body !== 'string') return 'it has no body'
  if (message.attempt !== undefined && !isCount(message.attempt)) return 'its attempt is no number from 1'
  switch (message.kind) {
    case 'event':
      return faultOfEvent(message)
    case 'disconnect':
    case 'subscribe':
    case 'unsubscribe':
    case 'send':
      return readOrder(message) === undefined ? 'its selector or its options are not known' : undefined
    case 'run':
      return readRunMessage(message.body) === undefined ? 'what it says of runs is not known' : undefined
    case 'loss':
      return isLossReport(message.body) ? undefined : 'its report is none'
    default:
      return 'its kind is not known'
  }
}

function isMessageId(messageId: unknown): boolean {
  const match = typeof messageId === 'string' ? MESSAGE_ID.exec(messageId) : null
  return match !== null && Number.isSafeInteger(Number(match[1]))
}

function faultOfEvent({ body, id, topic, except, isText, run, request }: BackplaneEvent): string | undefined {
  if (!isEventBody(body)) return 'its body is not one whole event'
  if (id !== undefined && !isId(id)) return 'its id cannot be one'
  if (topic !== undefined && !isTopic(topic)) return 'its topic is none'
  if (except !== undefined && typeof except !== 'string') return 'its except is no string'
  if (isText !== undefined && typeof isText !== 'boolean') return 'its isText is no boolean'
  if (run !== undefined && (topic === undefined || !isRunMark(run))) return 'its run is none'
  if (request !== undefined && !isRequest(request)) return 'its request is none'
  return undefined
}

/** See `LogLosses`. */
function isLossReport(body: string): boolean {
  try {
    const { after, silence } = JSON.parse(body)
    return (after === undefined || isMessageId(after)) && Number.isFinite(silence) && silence >= 0
  } catch {
    return false
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1
}

function isRunMark(run: unknown): boolean {
  if (typeof run !== 'object' || run === null) return false
  const { id, n, last } = run as Partial<RunMark>
  return isRunId(id) && isCount(n) && (last === undefined || typeof last === 'boolean')
}

function isRequest(request: unknown): boolean {
  if (typeof request !== 'object' || request === null) return false
  const { key, digest, index, count } = request as Partial<PublishRequest>
  return (
    isShortText(key, MAX_KEY) &&
    isShortText(digest, MAX_DIGEST) &&
    Number.isSafeInteger(index) &&
    Number.isSafeInteger(count) &&
    index! >= 0 &&
    index! < count! &&
    count! <= MAX_REQUEST_EVENTS
  )
}

function isShortText(text: unknown, max: number): boolean {
  return typeof text === 'string' && text !== '' && text.length <= max
}
