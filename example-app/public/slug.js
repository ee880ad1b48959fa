const LONGEST = 40

/**
 * A room's name in its URL: its letters and digits in lower case, with hyphens between. It is one word of a topic, too,
 * so it has no dots and wildcards. Empty where the title has no letter or digit.
 */
export function slugOf(title) {
  const words =
    title
      .normalize('NFC')
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  return [...words.join('-')].slice(0, LONGEST).join('')
}
