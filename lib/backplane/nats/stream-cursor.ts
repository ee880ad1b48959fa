// Cursors of a stream of NATS: epoch of the stream, number of the message, place of the entry in the message.

import { createHash } from 'node:crypto'
import type { StreamInfo } from '@nats-io/jetstream'

/** The stream, its message, and the place of the entry in the message, from 1. Bounded, so that numbers hold it. */
const CURSOR = /^([0-9a-z]{8})-(0|[1-9]\d{0,14})-(0|[1-9]\d{0,6})$/

/** The name of a place in a stream of NATS. The place 0 is before all entries of its message. */
export function streamCursor(epoch: string, seq: number, place: number): string {
  return `${epoch}-${seq}-${place}`
}

/** Negative, zero or positive as the first is before, at or after the second; nothing where one is of another stream. */
export function compareStreamCursors(a: string, b: string, epoch: string): number | undefined {
  const [first, second] = [CURSOR.exec(a), CURSOR.exec(b)]
  if (first?.[1] !== epoch || second?.[1] !== epoch) return undefined
  return Number(first[2]) - Number(second[2]) || Number(first[3]) - Number(second[3])
}

/** Names a stream from its creation to its deletion: one that is created anew numbers its messages from 1 again. */
export function epochOf({ created, config: { name } }: StreamInfo): string {
  const hash = createHash('sha256').update(`${name} ${created}`).digest()
  return (hash.readUIntBE(0, 6) % 36 ** 8).toString(36).padStart(8, '0')
}
