// Cursors of the log in Postgres: `<epoch>-<place>`.

/** The epoch changes when the log is emptied. The place has at most 15 digits, so that a JavaScript number holds it exactly. */
const CURSOR = /^([0-9a-z]{8})-(0|[1-9]\d{0,14})$/

/** The cursor of a place in the log. Place 0 is before all entries. */
export function logCursor(epoch: string, place: number): string {
  return `${epoch}-${place}`
}

/** Negative if `a` is before `b`, positive if it is after `b`, 0 if they are equal, `undefined` if one is not of this epoch. */
export function compareLogCursors(a: string, b: string, epoch: string | undefined): number | undefined {
  const [first, second] = [CURSOR.exec(a), CURSOR.exec(b)]
  if (epoch === undefined || first?.[1] !== epoch || second?.[1] !== epoch) return undefined
  return Number(first[2]) - Number(second[2])
}
