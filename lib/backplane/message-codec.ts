import type { BackplaneMessage } from './backplane.js'

/** The version of the format (docs/backplane.md). An entry that names none is of this one. */
const VERSION = 1

/** What an engine stores of a message: two texts. */
export interface StoredMessage {
  /** All but the body, as JSON. */
  readonly labels: string
  readonly body: string
}

export function encodeMessage(message: BackplaneMessage): StoredMessage {
  const { body, attempt } = message
  if (message.kind !== 'event') return { labels: JSON.stringify({ kind: message.kind, attempt }), body }
  const { id, topic, except, isText, run, request } = message
  // What is false or undefined is left out.
  return { labels: JSON.stringify({ id, topic, except, isText: isText || undefined, run, request, attempt }), body }
}

/**
 * Takes a message apart. Its fields are as whoever wrote the entry gave them: who reads the message checks them
 * (`faultOf`). Unknown fields are ignored.
 *
 * @returns nothing where the labels are no JSON object, or of another version
 */
export function decodeMessage({ labels, body }: StoredMessage): BackplaneMessage | undefined {
  const fields = parseObject(labels)
  if (fields === undefined) return undefined
  const { v = VERSION, kind = 'event', id, topic, except, isText, run, request, attempt } = fields
  if (v !== VERSION) return undefined
  if (kind !== 'event') return { kind, body, attempt } as BackplaneMessage
  return { kind, body, id, topic, except, isText, run, request, attempt } as BackplaneMessage
}

function parseObject(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
