// The names of rooms in URLs and topics.

const LONGEST = 40

/**
 * A room's name in its URL: the letters and digits of its title in lower case, with hyphens between words. It is also one word
 * of a topic, so it contains no dots or wildcards. Empty if the title has no letter or digit. For the page and the server.
 */
export function slugOf(title) {
  const words =
    title
      .normalize('NFC')
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  return [...words.join('-')].slice(0, LONGEST).join('')
}
