/** Two whole numbers of 64 bits, without a sign, as Redis writes them. */
const ENTRY_ID = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/
const LARGEST = '18446744073709551615'

/** Before all entries. */
export const ORIGIN = '0-0'

/** The id of an entry of a stream in Redis, as two numbers in decimal: JavaScript's own do not hold all of them. */
export type EntryId = readonly [ms: string, number: string]

export function parseEntryId(text: string): EntryId | undefined {
  const [, ms, number] = ENTRY_ID.exec(text) ?? []
  if (ms === undefined || number === undefined) return undefined
  return compareNumbers(ms, LARGEST) <= 0 && compareNumbers(number, LARGEST) <= 0 ? [ms, number] : undefined
}

/** Negative, zero or positive as the first is before, at or after the second. */
export function compareEntryIds(a: EntryId, b: EntryId): number {
  return compareNumbers(a[0], b[0]) || compareNumbers(a[1], b[1])
}

/** The id before this one. */
export function idBefore([ms, number]: EntryId): string {
  if (number !== '0') return `${ms}-${BigInt(number) - 1n}`
  return ms === '0' ? ORIGIN : `${BigInt(ms) - 1n}-${LARGEST}`
}

/** Numbers in decimal, without leading zeros. */
function compareNumbers(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  if (a === b) return 0
  return a < b ? -1 : 1
}
