// Encodes messages for engines that store texts, and decodes them. What their fields may hold is checked in entry-format.ts.

import type { BackplaneMessage } from './backplane.js'

/** The version of the format (docs/backplane.md). An entry without a version has this one. */
const VERSION = 1

/** The two texts that an engine stores for a message. */
export interface StoredMessage {
  /** Everything but the body, as JSON. */
  readonly labels: string
  readonly body: string
}

export function encodeMessage(message: BackplaneMessage): StoredMessage {
  const { body, attempt } = message
  if (message.kind !== 'event') return { labels: JSON.stringify({ kind: message.kind, attempt }), body }
  const { id, topic, except, isText, run, request } = message
  // Fields that are false or undefined are left out.
  return { labels: JSON.stringify({ id, topic, except, isText: isText || undefined, run, request, attempt }), body }
}

/**
 * Decodes a message. Its fields are unchecked, since any program may have written the entry: `faultOf` checks them. Unknown
 * fields are ignored.
 *
 * @returns undefined if the labels are not a JSON object, or are of another version
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
