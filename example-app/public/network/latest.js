// Which change of a task counts, where answers and events overtake each other.

import { isUpTo } from './change.js'

/**
 * The places in the log that a board shows. One's own changes come twice, as answers and by the stream, and the two overtake
 * each other. Each contains the whole task, so the one whose place is the last wins.
 */
export class Latest {
  #loaded
  /** The place of the latest change of each task since then, deleted ones included. */
  #places = new Map()

  /** @param {string} loaded the place up to which the rows include all changes */
  constructor(loaded) {
    this.#loaded = loaded
  }

  /** Whether the board shows this change already, or a later one of the same task. */
  has({ row_id: id, cursor }) {
    return isUpTo(cursor, this.#places.get(id) ?? this.#loaded)
  }

  add({ row_id: id, cursor }) {
    this.#places.set(id, cursor)
  }
}
