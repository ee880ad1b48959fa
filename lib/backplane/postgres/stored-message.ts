import type { BackplaneMessage, Parcel } from '../backplane.js'
import { decodeMessage, encodeMessage } from '../message-codec.js'

/** A message as a row has it. The text of Postgres has no NUL: a body with one is stored in base64, which a label says. */
export interface StoredRow {
  readonly labels: string
  readonly body: string
}

const ENCODED = '"encoding":"base64"'

export function encodeRow(message: BackplaneMessage): StoredRow {
  const { labels, body } = encodeMessage(message)
  // The decoder of PGlite takes a byte order mark for its own.
  if (!body.includes('\0') && !body.startsWith('\ufeff')) return { labels, body }
  const separator = labels === '{}' ? '' : ','
  return { labels: `${labels.slice(0, -1)}${separator}${ENCODED}}`, body: Buffer.from(body).toString('base64') }
}

/** @returns nothing where it is no message of this version */
export function decodeRow({ labels, body }: StoredRow): BackplaneMessage | undefined {
  const message = decodeMessage({ labels, body })
  if (message === undefined || !labels.includes(ENCODED)) return message
  const { encoding } = JSON.parse(labels) as { encoding?: unknown }
  return encoding === 'base64' ? { ...message, body: Buffer.from(body, 'base64').toString() } : message
}

/** The rows of a batch, as one array for each column. */
export function encodeRows(batch: readonly Parcel[]): [messages: string[], labels: string[], bodies: string[]] {
  const rows = batch.map(({ message }) => encodeRow(message))
  return [batch.map(({ messageId }) => messageId), rows.map(({ labels }) => labels), rows.map(({ body }) => body)]
}
