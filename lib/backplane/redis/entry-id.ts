// The ids of entries in a Redis stream: parsing, comparing, and the id before one.

/** Two unsigned 64-bit integers in decimal. https://redis.io/docs/latest/develop/data-types/streams/#entry-ids */
const ENTRY_ID = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/
const LARGEST = '18446744073709551615'

/** The place before all entries of a stream. */
export const ORIGIN = '0-0'

/** The two numbers of an id, as decimal text: a JavaScript number cannot hold 64 bits. */
export type EntryId = readonly [ms: string, number: string]

/** @returns `undefined` if the text is not an id */
export function parseEntryId(text: string): EntryId | undefined {
  const [, ms, number] = ENTRY_ID.exec(text) ?? []
  if (ms === undefined || number === undefined) return undefined
  return compareNumbers(ms, LARGEST) <= 0 && compareNumbers(number, LARGEST) <= 0 ? [ms, number] : undefined
}

/** Negative if `a` is before `b`, positive if it is after `b`, otherwise 0. */
export function compareEntryIds(a: EntryId, b: EntryId): number {
  return compareNumbers(a[0], b[0]) || compareNumbers(a[1], b[1])
}

/** The largest id that is smaller than this one; `ORIGIN` for the smallest. */
export function idBefore([ms, number]: EntryId): string {
  if (number !== '0') return `${ms}-${BigInt(number) - 1n}`
  return ms === '0' ? ORIGIN : `${BigInt(ms) - 1n}-${LARGEST}`
}

/** Compares decimal numbers without leading zeros. */
function compareNumbers(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  if (a === b) return 0
  return a < b ? -1 : 1
}
