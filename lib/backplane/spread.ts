import { setTimeout as sleep } from 'node:timers/promises'

/** How long a process waits before it loads a large history, ms at most. */
const LONGEST = 1000
/** What is a large one, bytes. */
const LARGE = 1024 * 1024

/**
 * Processes that start at once, or find a gap at once, come to load a large history at different times.
 *
 * @param bytes about how many there are to load
 */
export async function spread(bytes: number): Promise<void> {
  if (bytes > LARGE) await sleep(Math.random() * LONGEST, undefined, { ref: false })
}
