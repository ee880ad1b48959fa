// Sets that usually hold one object, without the memory of a Set.

/**
 * A set that usually holds one object, and is then that object itself: a Set for each of thousands would cost two more
 * accesses to memory.
 */
export type SmallSet<T extends object> = T | Set<T> | undefined

/** Adds an object. @returns the set to use from now on */
export function withOne<T extends object>(set: SmallSet<T>, one: T): SmallSet<T> {
  if (set === undefined || set === one) return one
  return set instanceof Set ? set.add(one) : new Set([set, one])
}

/** Removes an object. @returns the set to use from now on */
export function withoutOne<T extends object>(set: SmallSet<T>, one: T): SmallSet<T> {
  if (!(set instanceof Set)) return set === one ? undefined : set
  set.delete(one)
  return set.size > 0 ? set : undefined
}

/** Number of objects in the set. */
export function countOf<T extends object>(set: SmallSet<T>): number {
  if (set === undefined) return 0
  return set instanceof Set ? set.size : 1
}
