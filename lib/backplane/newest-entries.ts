// Reads the newest entries of an engine's log, chunk by chunk from the newest on, until the bounds of the history are reached. For
// engines that can be read backwards: Redis and Postgres.

import { pauseBeforeLoading } from './backoff.js'
import type { HistoryBounds } from './backplane.js'

/** Entries asked for at once, at most, and about how many bytes. */
export const MAX_COUNT = 1000
const READ_BYTES = 1024 * 1024
const FIRST_COUNT = 16

/** How many entries to ask for at once. An answer has no bound in bytes, so the size is learnt from the entries before. */
export class ReadCount<Raw> {
  readonly #sizeOf: (entry: Raw) => number
  #count = FIRST_COUNT

  /** @param sizeOf bytes of an entry */
  constructor(sizeOf: (entry: Raw) => number) {
    this.#sizeOf = sizeOf
  }

  get next(): number {
    return this.#count
  }

  sizeOf(entry: Raw): number {
    return this.#sizeOf(entry)
  }

  /** Takes note of entries that were read: at least one. @returns their average size, bytes */
  learn(entries: readonly Raw[]): number {
    const average = entries.reduce((sum, entry) => sum + this.#sizeOf(entry), 0) / entries.length
    this.#count = Math.max(1, Math.min(MAX_COUNT, this.#count * 4, Math.floor(READ_BYTES / average)))
    return average
  }
}

/** A log that can be read backwards. */
export interface Backwards<Raw> {
  /** Entries that the log holds, about. */
  readonly length: number
  /**
   * The newest `count` entries before an entry, the newest first; fewer if there are no more.
   *
   * @param oldest the entry; if undefined, the newest of all are read
   */
  read(oldest: Raw | undefined, count: number): Promise<readonly Raw[]>
}

/**
 * The newest entries within the bounds, the oldest of them first. It is at least one entry if the log has any, however large:
 * the log in memory keeps one, too. `isAll`: whether the log has no more.
 */
export async function readNewest<Raw>(
  log: Backwards<Raw>,
  bounds: HistoryBounds,
  count: ReadCount<Raw>
): Promise<{ entries: Raw[]; isAll: boolean }> {
  const chunks: Raw[][] = []
  let { events, bytes } = bounds
  let oldest: Raw | undefined
  let isAll = false
  while (!isAll && events > 0 && bytes > 0) {
    const wanted = Math.min(count.next, events)
    const chunk = await log.read(oldest, wanted)
    isAll = chunk.length < wanted
    if (chunk.length === 0) break
    const average = count.learn(chunk)
    if (chunks.length === 0 && !isAll) await pauseBeforeLoading(Math.min(bytes, average * Math.min(events, log.length)))
    let fitting = 0
    for (const entry of chunk) {
      bytes -= count.sizeOf(entry)
      if (bytes < 0 && chunks.length + fitting > 0) break
      fitting++
    }
    isAll &&= fitting === chunk.length
    events -= fitting
    chunks.push(chunk.slice(0, fitting).reverse())
    oldest = chunk.at(-1)
  }
  return { entries: chunks.reverse().flat(), isAll }
}
