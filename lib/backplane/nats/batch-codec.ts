// Packs the entries of a parcel into one message of NATS, and unpacks them.

import type { Parcel } from '../backplane.js'
import { decodeMessage, encodeMessage } from '../message-codec.js'

/** Start of each message. */
const MARK = 'pylon-sse 1 '

/** A parcel that was read. */
export interface Unpacked extends Parcel {
  /** Size of its body, bytes. */
  readonly size: number
}

/** Part of a batch that is sent as one message, so that the engine stores all of it or none. */
export interface Pack {
  readonly parcels: readonly Parcel[]
  readonly bytes: Buffer
}

/** Thrown for a parcel that is too large for a message. */
export class TooLargeError extends Error {
  override readonly name = 'TooLargeError'
}

/**
 * Packs a batch into as few messages as can hold it.
 *
 * @param maxBytes the largest size of a message
 * @throws TooLargeError
 */
export function packBatch(batch: readonly Parcel[], maxBytes: number): Pack[] {
  const packs: Pack[] = []
  let heads: string[] = []
  let bodies: Buffer[] = []
  let size = 0
  const end = (next: number) => {
    const bytes = Buffer.concat([Buffer.from(`${MARK}[${heads}]\n`), ...bodies])
    packs.push({ parcels: batch.slice(next - heads.length, next), bytes })
    heads = []
    bodies = []
    size = 0
  }
  for (const [i, { messageId, message }] of batch.entries()) {
    const { labels, body } = encodeMessage(message)
    const bytes = Buffer.from(body)
    const head = JSON.stringify([messageId, labels, bytes.length])
    const added = Buffer.byteLength(head) + 1 + bytes.length
    const whole = MARK.length + 2 + added
    if (whole > maxBytes) throw new TooLargeError(`it has ${whole} bytes, and a message may have ${maxBytes}`)
    if (MARK.length + 2 + size + added > maxBytes) end(i)
    heads.push(head)
    bodies.push(bytes)
    size += added
  }
  if (heads.length > 0) end(batch.length)
  return packs
}

/**
 * Unpacks a message.
 *
 * @returns the parcels in order. `undefined` stands for a parcel that is malformed, or for a whole message that is
 */
export function unpackBatch(data: Uint8Array): (Unpacked | undefined)[] {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const line = bytes.indexOf('\n')
  const heads = line < 0 ? undefined : parseHeads(bytes.toString('utf8', 0, line))
  if (heads === undefined) return [undefined]
  let at = line + 1
  return heads.map((head) => {
    const [messageId, labels, size] = Array.isArray(head) ? head : []
    // Without its size, neither the end of its body is known, nor where later parcels start.
    if (!Number.isSafeInteger(size) || size < 0 || at + size > bytes.length) at = Number.POSITIVE_INFINITY
    if (at > bytes.length) return undefined
    const body = bytes.toString('utf8', at, at + size)
    at += size
    if (typeof messageId !== 'string' || typeof labels !== 'string') return undefined
    const message = decodeMessage({ labels, body })
    return message && { messageId, message, size }
  })
}

function parseHeads(line: string): unknown[] | undefined {
  if (!line.startsWith(MARK)) return undefined
  try {
    const heads: unknown = JSON.parse(line.slice(MARK.length))
    return Array.isArray(heads) ? heads : undefined
  } catch {
    return undefined
  }
}
