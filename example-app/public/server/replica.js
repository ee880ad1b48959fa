/**
 * Keeps a view in step with the server. The stream brings the rows first and then the changes of others. This tab's own
 * changes arrive as answers to its requests, possibly before earlier ones of the stream. So changes are compared by row: each
 * contains the whole row, and the one with the highest `seq` wins.
 */
export class Replica {
  /** `seq` of the latest known change. */
  seq = 0
  loaded = false
  #view
  /** `seq` of the latest change that the loaded rows include. */
  #included = 0
  /** `seq` of the latest change of each row since then, deleted rows included. */
  #latest = new Map()

  constructor(view) {
    this.#view = view
  }

  load({ seq, tasks }) {
    this.#included = this.seq = seq
    this.#latest.clear()
    this.#view.reset(tasks)
    this.loaded = true
  }

  /** Shows a change, unless it is outdated. Returns whether it was shown. */
  receive(change) {
    const { seq, kind, row_id: id, data } = change
    if (seq <= this.#included || seq <= (this.#latest.get(id) ?? 0)) return false
    this.#latest.set(id, seq)
    this.seq = Math.max(this.seq, seq)
    if (kind === 'delete') this.#view.remove(id, change)
    else this.#view.put(data)
    return true
  }
}
