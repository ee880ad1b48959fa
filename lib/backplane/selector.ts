// Selectors: which clients a command is for, by fields that processes can send each other.

import type { SseClient, SseClientState } from '../api/api.js'
import { InvalidSelectorError } from '../api/errors.js'
import { unknownName } from '../api/input/nearest-name.js'
import { isPattern } from '../log/topic.js'

/** A value that other processes can compare. */
type Comparable = string | number | boolean | null

/** The declared fields of `client.state` whose values can be compared. */
type StateSelector = keyof SseClientState extends never
  ? Record<string, Comparable>
  : {
      [Field in keyof SseClientState as Extract<SseClientState[Field], Comparable> extends never
        ? never
        : Field]?: Extract<SseClientState[Field], Comparable>
    }

/** The fields of a selector. */
interface SelectorFields {
  /** `client.id`. */
  id: string
  /** `client.ip`. */
  ip: string
  /** A topic or pattern that the client is subscribed to. */
  topic: string
  /** Fields of `client.state` and their values: strings, numbers, booleans, null. */
  state: StateSelector
}

type Optional<Fields> = { [Field in keyof Fields]?: Fields[Field] | undefined }

/**
 * Picks clients by equality of fields, so that it can be sent to other processes. It has at least one field, and a client
 * must match all of its fields.
 */
export type ClientSelector = {
  [Field in keyof SelectorFields]: Pick<SelectorFields, Field> & Optional<Omit<SelectorFields, Field>>
}[keyof SelectorFields]

const FIELDS = ['id', 'ip', 'topic', 'state']

/** @throws InvalidSelectorError if it has no field, or a value that other processes cannot compare */
export function checkSelector(selector: ClientSelector): ClientSelector {
  if (typeof selector !== 'object' || selector === null || Array.isArray(selector)) {
    const given =
      selector === null ? 'null' : Array.isArray(selector) ? 'an array' : `a value of type ${typeof selector}`
    throw new InvalidSelectorError('the selector', given, 'an object, or a function that picks clients')
  }
  const fields = Object.entries(selector).filter(([, value]) => value !== undefined)
  if (fields.length === 0)
    throw new InvalidSelectorError('the selector', 'no field', `at least one of ${FIELDS.join(', ')}`)
  for (const [field, value] of fields) {
    if (!FIELDS.includes(field)) throw new InvalidSelectorError(field, unknownName(field, FIELDS))
    if (field === 'state') checkState(value)
    else if (typeof value !== 'string') throw new InvalidSelectorError(field, `a ${typeof value}`, 'a string')
    else if (field === 'topic' && !isPattern(value))
      throw new InvalidSelectorError(field, 'no topic', 'a topic or a pattern')
  }
  return Object.fromEntries(fields) as unknown as ClientSelector
}

export function picks({ id, ip, topic, state = {} }: ClientSelector, client: SseClient): boolean {
  if (id !== undefined && client.id !== id) return false
  if (ip !== undefined && client.ip !== ip) return false
  if (topic !== undefined && !client.topics.includes(topic)) return false
  const own = client.state as unknown as Record<string, unknown>
  return Object.entries(state).every(([field, value]) => own?.[field] === value)
}

function checkState(state: unknown): void {
  const values = typeof state === 'object' && state !== null ? Object.entries(state) : []
  if (values.length === 0) throw new InvalidSelectorError('state', 'no field', 'at least one field of client.state')
  for (const [field, value] of values) {
    if (value !== null && !['string', 'number', 'boolean'].includes(typeof value)) {
      throw new InvalidSelectorError(`state.${field}`, `a ${typeof value}`, 'a string, a number, a boolean or null')
    }
  }
}
