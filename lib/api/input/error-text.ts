// Pieces of error messages: how a value is shown, and how a sentence ends. Suggestions for names are in nearest-name.ts.

/** Maximum length of a string that an error message shows, characters. */
const MAX_LENGTH = 64

/** Shows a value in an error message: strings quoted and shortened, objects and functions only by their kind. */
export function show(value: unknown): string {
  // As JSON, so that line breaks and other control characters are visible.
  if (typeof value === 'string') return `'${JSON.stringify(value.slice(0, MAX_LENGTH)).slice(1, -1)}'`
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value === 'function') return 'a function'
  return typeof value === 'bigint' ? `${value}n` : String(value)
}

/** Ends a sentence with one full stop, or the question mark that it has: text that it quotes may have one already. */
export function endSentence(text: string): string {
  return `${text.replace(/\.+$/, '')}${text.endsWith('?') ? '' : '.'}`
}
