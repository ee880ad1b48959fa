/**
 * Objects of which there is mostly one. It stands for itself then: a set of one for each of thousands would be two more
 * places in memory to look at.
 */
export type SmallSet<T extends object> = T | Set<T> | undefined

/** With one more, unless it is among them. */
export function withOne<T extends object>(set: SmallSet<T>, one: T): SmallSet<T> {
  if (set === undefined || set === one) return one
  return set instanceof Set ? set.add(one) : new Set([set, one])
}

/** Without one of them. */
export function withoutOne<T extends object>(set: SmallSet<T>, one: T): SmallSet<T> {
  if (!(set instanceof Set)) return set === one ? undefined : set
  set.delete(one)
  return set.size > 0 ? set : undefined
}

/** How many they are. */
export function countOf<T extends object>(set: SmallSet<T>): number {
  if (set === undefined) return 0
  return set instanceof Set ? set.size : 1
}
