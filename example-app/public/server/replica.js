import { isUpTo } from './change.js'

/** What a view shows of a row. */
const SHOWN = ['title', 'status', 'position']

/**
 * Keeps a view in step with the server. The stream brings the rows first and then the changes of others. This tab's own
 * changes arrive as answers to its requests, possibly before earlier ones of the stream. So changes are compared by row: each
 * contains the whole row, and the one whose event comes last in the log wins.
 */
export class Replica {
  loaded = false
  #view
  #rows = new Map()
  /** The place in the log up to which the loaded rows include all changes. */
  #included = ''
  /** The place of the latest change of each row since then, deleted rows included. */
  #latest = new Map()

  constructor(view) {
    this.#view = view
  }

  /** Shows exactly these rows. Returns how many of them are new or changed, or gone. */
  load({ cursor, tasks }) {
    const before = this.#rows
    this.#included = cursor
    this.#latest.clear()
    this.#rows = new Map(tasks.map((task) => [task.id, task]))
    this.#view.reset(tasks)
    this.loaded = true
    const changed = tasks.filter((task) => SHOWN.some((field) => task[field] !== before.get(task.id)?.[field]))
    const gone = [...before.keys()].filter((id) => !this.#rows.has(id))
    return changed.length + gone.length
  }

  /** Shows a change, unless it is outdated. Returns whether it was shown. */
  receive(change) {
    const { cursor, kind, row_id: id, data } = change
    if (isUpTo(cursor, this.#latest.get(id) ?? this.#included)) return false
    this.#latest.set(id, cursor)
    if (kind === 'delete') {
      if (!this.#rows.delete(id)) return false
      this.#view.remove(id, change)
    } else {
      this.#rows.set(id, data)
      this.#view.put(data)
    }
    return true
  }
}
