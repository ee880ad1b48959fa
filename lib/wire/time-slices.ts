import { setImmediate as nextTurn } from 'node:timers/promises'

/** How long one turn of the event loop may be held, ms. What it causes (microtasks, I/O) comes on top. */
const SLICE = 5

/** Does something with each of many, a slice of time a turn, so that the process answers others meanwhile. */
export async function inSlices<Item>(items: Iterable<Item>, act: (item: Item) => void): Promise<void> {
  let start = performance.now()
  for (const item of items) {
    act(item)
    if (performance.now() - start < SLICE) continue
    await nextTurn()
    start = performance.now()
  }
}

/** Resolves when a promise does, which never rejects, or after so many ms. */
export async function waitAtMost(ms: number, done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([done, late])
  clearTimeout(timer)
}
