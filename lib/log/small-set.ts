/**
 * Objects of which there is mostly one. It stands for itself then: a set of one for each of thousands would be two more
 * places in memory to look at.
 */
export type Few<T extends object> = T | Set<T> | undefined

/** With one more, unless it is among them. */
export function withOne<T extends object>(few: Few<T>, one: T): Few<T> {
  if (few === undefined || few === one) return one
  return few instanceof Set ? few.add(one) : new Set([few, one])
}

/** Without one of them. */
export function withoutOne<T extends object>(few: Few<T>, one: T): Few<T> {
  if (!(few instanceof Set)) return few === one ? undefined : few
  few.delete(one)
  return few.size > 0 ? few : undefined
}

/** How many they are. */
export function countOf<T extends object>(few: Few<T>): number {
  if (few === undefined) return 0
  return few instanceof Set ? few.size : 1
}
