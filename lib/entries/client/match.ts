// Matching of topics and patterns. Not in topics.ts, which every page loads: only shared connections need this.

/** Returns whether one of the patterns matches a topic: `*` is one word, `**` at the end is any number of words (docs/topics.md). */
export function matches(patterns: Iterable<string>, topic: string): boolean {
  const words = topic.split('.')
  for (const pattern of patterns) {
    const parts = pattern.split('.')
    const isOpen = parts.at(-1) === '**'
    if (isOpen) parts.pop()
    const isLong = isOpen ? words.length >= parts.length : words.length === parts.length
    if (isLong && parts.every((part, i) => part === '*' || part === words[i])) return true
  }
  return false
}
