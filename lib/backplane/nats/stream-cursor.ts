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
