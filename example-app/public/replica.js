/**
 * Keeps a view in step with the server. The rows come by one road and the changes by another, so they may overtake each
 * other: changes that arrive while the rows are on their way are held back, and those the rows include already are
 * ignored, by their `seq`.
 */
export class Replica {
  seq = 0
  loaded = false
  #view
  #fetchRows
  #held
  #loads = 0

  constructor(view, fetchRows) {
    this.#view = view
    this.#fetchRows = fetchRows
  }

  /** Resolves to whether the rows are in place: a later load makes an earlier one void. */
  async load() {
    this.#loads += 1
    const load = this.#loads
    const held = []
    this.#held = held
    this.loaded = false
    try {
      const { seq, tasks } = await this.#fetchRows()
      if (load !== this.#loads) return false
      this.#view.reset(tasks)
      this.seq = seq
      this.loaded = true
    } finally {
      if (load === this.#loads) this.#held = undefined
    }
    for (const change of held) this.receive(change)
    return true
  }

  receive(change) {
    if (this.#held) this.#held.push(change)
    else if (this.loaded && change.seq > this.seq) this.#apply(change)
  }

  #apply({ seq, kind, row_id: id, data }) {
    this.seq = seq
    if (kind === 'delete') this.#view.remove(id)
    else this.#view.put(data)
  }
}
