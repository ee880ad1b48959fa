import type { BackplaneMessage } from './backplane.js'

/** What an engine stores of a message: two texts. */
export interface StoredMessage {
  /** All but the body, as JSON. */
  readonly labels: string
  readonly body: string
}

export function encodeMessage(message: BackplaneMessage): StoredMessage {
  const { body, attempt } = message
  if (message.kind !== 'event') return { labels: JSON.stringify({ kind: message.kind, attempt }), body }
  const { id, topic, except, isText, request } = message
  // What is false or undefined is left out.
  return { labels: JSON.stringify({ id, topic, except, isText: isText || undefined, request, attempt }), body }
}

/** @returns nothing for what no version of this package has written */
export function decodeMessage({ labels, body }: StoredMessage): BackplaneMessage | undefined {
  try {
    const { kind = 'event', id, topic, except, isText, request, attempt } = JSON.parse(labels)
    if (kind === 'disconnect' || kind === 'loss') return { kind, body, attempt }
    return { kind: 'event', body, id, topic, except, isText, request, attempt }
  } catch {
    return undefined
  }
}
