// Work that must not block the event loop: slices of time, and waits with a limit.

import { setImmediate as nextTurn } from 'node:timers/promises'

/** Maximum length of a slice, ms. Microtasks and I/O that it causes come on top. */
const SLICE = 5

/**
 * Calls `act` with each item, one slice of time per turn of the event loop, so that the process serves others in
 * between.
 */
export async function inSlices<Item>(items: Iterable<Item>, act: (item: Item) => void): Promise<void> {
  let start = performance.now()
  for (const item of items) {
    act(item)
    if (performance.now() - start < SLICE) continue
    await nextTurn()
    start = performance.now()
  }
}

/** Resolves when a promise does, which must not reject, or after `ms`. */
export async function waitAtMost(ms: number, done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([done, late])
  clearTimeout(timer)
}
