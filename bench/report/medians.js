/**
 * Merges the figures of several rounds: the medians of the numbers, and all faults.
 *
 * @param {object[]} rounds
 */
export function medians(rounds) {
  const whole = rounds.filter(({ cpu, perClient }) => cpu !== undefined || perClient !== undefined)
  const faults = [...new Set(rounds.flatMap((one) => one.faults))]
  return { ...merge(whole.length > 0 ? whole : rounds), faults, rounds: rounds.length }
}

function merge(values) {
  const known = values.filter((value) => value !== undefined && value !== null)
  const [first] = known
  if (typeof first === 'number') return median(known)
  if (typeof first !== 'object' || Array.isArray(first)) return first
  return Object.fromEntries(Object.keys(first).map((key) => [key, merge(known.map((one) => one[key]))]))
}

/** @param {number[]} numbers at least one */
export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
