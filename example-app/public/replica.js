/**
 * Keeps a view in step with the server. The rows come first, and changes of others follow by the same stream; one's own
 * come as the answers to requests, and may overtake those. So changes are told apart by row: each carries its row whole,
 * and the one with the highest `seq` is right.
 */
export class Replica {
  /** The last change that is known of. */
  seq = 0
  loaded = false
  #view
  /** The last change that the rows included when they came. */
  #included = 0
  /** The last change of each row since then, deleted ones too. */
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

  /** Whether it is news. */
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
