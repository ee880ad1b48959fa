// The form of a message in the table of events. The labels and the body themselves are encoded in message-codec.ts.

import type { BackplaneMessage, Parcel } from '../backplane.js'
import { decodeMessage, encodeMessage } from '../message-codec.js'

/** The columns of a message. A text of Postgres cannot contain NUL, so a body with NUL is in base64, and a label says so. */
export interface StoredRow {
  readonly labels: string
  readonly body: string
}

const ENCODED = '"encoding":"base64"'

export function encodeRow(message: BackplaneMessage): StoredRow {
  const { labels, body } = encodeMessage(message)
  // PGlite's decoder removes a byte order mark at the start of a text.
  if (!body.includes('\0') && !body.startsWith('\ufeff')) return { labels, body }
  const separator = labels === '{}' ? '' : ','
  return { labels: `${labels.slice(0, -1)}${separator}${ENCODED}}`, body: Buffer.from(body).toString('base64') }
}

/** @returns `undefined` if the row is not a message of this version */
export function decodeRow({ labels, body }: StoredRow): BackplaneMessage | undefined {
  const message = decodeMessage({ labels, body })
  if (message === undefined || !labels.includes(ENCODED)) return message
  const { encoding } = JSON.parse(labels) as { encoding?: unknown }
  return encoding === 'base64' ? { ...message, body: Buffer.from(body, 'base64').toString() } : message
}

/** The rows of a batch as one array for each column. */
export function encodeRows(batch: readonly Parcel[]): [messages: string[], labels: string[], bodies: string[]] {
  const rows = batch.map(({ message }) => encodeRow(message))
  return [batch.map(({ messageId }) => messageId), rows.map(({ labels }) => labels), rows.map(({ body }) => body)]
}
