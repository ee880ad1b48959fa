import type { Parcel } from '../backplane.js'
import { decodeMessage, encodeMessage } from '../message-codec.js'

/** What each message begins with. */
const MARK = 'pylon-sse 1 '

/** A parcel as it was read. */
export interface Unpacked extends Parcel {
  /** Bytes of its body. */
  readonly size: number
}

/** Part of a batch that goes as one message: the engine has all of it, or none. */
export interface Pack {
  readonly parcels: readonly Parcel[]
  readonly bytes: Buffer
}

/** A parcel that no message can hold. */
export class TooLargeError extends Error {
  override readonly name = 'TooLargeError'
}

/**
 * A batch as messages, as few as hold it.
 *
 * @param maxBytes what a message can hold
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

/** @returns the parcels at their places; nothing at the place of one that is none, or of a whole message that is none */
export function unpackBatch(data: Uint8Array): (Unpacked | undefined)[] {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const line = bytes.indexOf('\n')
  const heads = line < 0 ? undefined : parseHeads(bytes.toString('utf8', 0, line))
  if (heads === undefined) return [undefined]
  let at = line + 1
  return heads.map((head) => {
    const [messageId, labels, size] = Array.isArray(head) ? head : []
    // Where its body ends nobody knows, nor where those after it are.
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
