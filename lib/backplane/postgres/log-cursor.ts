/** This life of the log, and the place of an entry in it. Bounded, so that a number holds it. */
const CURSOR = /^([0-9a-z]{8})-(0|[1-9]\d{0,14})$/

/** The name of a place in the log. The place 0 is before all entries. */
export function logCursor(epoch: string, place: number): string {
  return `${epoch}-${place}`
}

/** Negative, zero or positive as the first is before, at or after the second; nothing where one is of another log. */
export function compareLogCursors(a: string, b: string, epoch: string | undefined): number | undefined {
  const [first, second] = [CURSOR.exec(a), CURSOR.exec(b)]
  if (epoch === undefined || first?.[1] !== epoch || second?.[1] !== epoch) return undefined
  return Number(first[2]) - Number(second[2])
}
