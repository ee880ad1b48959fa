import type { ClientSelector, SseClient } from '../api.js'
import { InvalidSelectorError } from '../errors.js'
import { unknownName } from '../input/nearest-name.js'
import { isPattern } from '../log/topic.js'

const FIELDS = ['id', 'ip', 'topic', 'state']

/** @throws InvalidSelectorError where it picks nothing in particular, or by something that other processes cannot compare */
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
