/** Bounded, so that numbers hold it. Redis has the time in ms in front. */
const ENTRY_ID = /^(0|[1-9]\d{0,14})-(0|[1-9]\d{0,14})$/
/** More entries than any ms has. */
const LAST_OF_MS = 999_999_999_999_999

/** Before all entries. */
export const ORIGIN = '0-0'

/** The id of an entry of a stream in Redis, as two numbers. */
export type EntryId = readonly [ms: number, number: number]

export function parseEntryId(text: string): EntryId | undefined {
  const match = ENTRY_ID.exec(text)
  return match ? [Number(match[1]), Number(match[2])] : undefined
}

/** Negative, zero or positive as the first is before, at or after the second. */
export function compareEntryIds(a: EntryId, b: EntryId): number {
  return a[0] - b[0] || a[1] - b[1]
}

/** An id before this one, with no entry between them. */
export function idBefore([ms, number]: EntryId): string {
  if (number > 0) return `${ms}-${number - 1}`
  return ms > 0 ? `${ms - 1}-${LAST_OF_MS}` : ORIGIN
}
