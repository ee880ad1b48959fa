/** Characters of a string that an error message shows. */
const MAX_LENGTH = 64

/** A value as an error message shows it: strings in quotes and shortened, objects and functions only by their kind. */
export function show(value: unknown): string {
  // As JSON, so that line breaks and other control characters are visible.
  if (typeof value === 'string') return `'${JSON.stringify(value.slice(0, MAX_LENGTH)).slice(1, -1)}'`
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value === 'function') return 'a function'
  return typeof value === 'bigint' ? `${value}n` : String(value)
}
