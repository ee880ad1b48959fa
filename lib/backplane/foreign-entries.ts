// Entries of the engine's log that this version does not know: they are counted and skipped. The format of entries is checked in
// entry-format.ts.

import type { Logger } from '../api/input/logger.js'
import type { BackplaneEntry } from './backplane.js'
import { faultOf } from './entry-format.js'

/** Skips foreign entries, which must not stop the others. The first one is logged. */
export class ForeignEntries {
  readonly #name: string
  readonly #isReserved: (id: string) => boolean
  readonly #logger: Logger
  #count = 0

  /**
   * @param name the backplane's name
   * @param isReserved whether an event's own id has the form of a cursor, so that clients which show it would be misplaced
   */
  constructor(name: string, isReserved: (id: string) => boolean, logger: Logger) {
    this.#name = name
    this.#isReserved = isReserved
    this.#logger = logger
  }

  /** Number of foreign entries so far. */
  get count(): number {
    return this.#count
  }

  /** Returns the entries without foreign ones. */
  skipIn(entries: readonly BackplaneEntry[]): readonly BackplaneEntry[] {
    return entries.filter((entry) => {
      const fault = faultOf(entry) ?? this.#faultOfId(entry)
      if (fault !== undefined) this.skip(entry.cursor, fault)
      return fault === undefined
    })
  }

  /** Counts an entry that is skipped. */
  skip(cursor: string, reason: string): void {
    if (this.#count++ > 0) return
    const message = `SSE: the backplane ${this.#name} holds an entry that this version does not know; such are counted and passed over`
    this.#logger.warn({ cursor, reason }, message)
  }

  #faultOfId({ message }: BackplaneEntry): string | undefined {
    if (message.kind !== 'event' || message.id === undefined) return undefined
    return this.#isReserved(message.id) ? 'its id has the form of those that the engine gives' : undefined
  }
}
