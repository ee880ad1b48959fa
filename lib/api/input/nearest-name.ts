// Suggestions for misspelt names in error messages.

/** Minimum length of a name that is recognised as the beginning of a longer one. */
const MIN_STEM = 7

/**
 * Returns the known name that a misspelt one probably means; undefined if none is near. Near is one edit away (a letter
 * added, left out, exchanged, or swapped with its neighbour), two from 7 letters on, three from 10 on, or the beginning
 * of a known name, such as `maxConnection`. Case, `_` and `-` are ignored.
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = fold(name)
  const bound = wanted.length < 7 ? 1 : wanted.length < 10 ? 2 : 3
  let best: string | undefined
  let least = bound + 1
  for (const candidate of known) {
    const folded = fold(candidate)
    const isStem = wanted.length >= MIN_STEM && folded !== wanted && folded.startsWith(wanted)
    const edits = isStem ? 1 : distance(wanted, folded)
    if (edits < least) [best, least] = [candidate, edits]
  }
  return best
}

/** Returns the end of a sentence about an unknown name: a suggestion, or the known names. */
export function unknownName(name: string, known: readonly string[], prefix = ''): string {
  const meant = nearest(name, known)
  const hint = meant === undefined ? `there are ${known.join(', ')}` : `did you mean '${prefix}${meant}'?`
  return `does not exist; ${hint}`
}

function fold(name: string): string {
  return name.toLowerCase().replace(/[_-]/g, '')
}

/** Edit distance of two words (optimal string alignment: insert, delete, exchange, swap). */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const exchange = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = isSwap ? rows[i - 2]![j - 2]! + 1 : exchange
      row.push(Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, exchange, swap))
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}
