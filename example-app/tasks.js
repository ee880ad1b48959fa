import { randomUUID } from 'node:crypto'

export const STATUSES = ['todo', 'doing', 'done']

/**
 * The tasks of one board, in memory. Every change gets the next `seq` and is handed to `onChange`, so no caller can
 * change a task and forget to tell the others. `by` is handed on: it says who need not be told.
 */
export class Tasks {
  #rows = new Map()
  #seq = 0
  #onChange

  constructor({ limit, onChange }) {
    this.limit = limit
    this.#onChange = onChange
  }

  get full() {
    return this.#rows.size >= this.limit
  }

  /** The rows together with the `seq` they include: whoever follows the changes too knows which ones to ignore. */
  snapshot() {
    return { seq: this.#seq, tasks: [...this.#rows.values()] }
  }

  create({ title }, by) {
    const row = { id: randomUUID(), title: title.trim(), status: STATUSES[0], position: this.#seq + 1 }
    return this.#save('insert', row, by)
  }

  /** The change, or undefined where there is no such task. */
  update(id, { title, status }, by) {
    const row = this.#rows.get(id)
    if (!row) return undefined
    const next = { ...row, title: title?.trim() ?? row.title, status: status ?? row.status }
    const moved = next.status !== row.status
    // Setting what is already set is no news to anyone.
    if (!moved && next.title === row.title) return this.#change('update', id, row)
    // What came into a column last stands first in it, in every tab alike.
    if (moved) next.position = this.#seq + 1
    return this.#save('update', next, by)
  }

  /** The change, or undefined where there is no such task. */
  delete(id, by) {
    if (!this.#rows.delete(id)) return undefined
    return this.#announce('delete', id, null, by)
  }

  #save(kind, row, by) {
    this.#rows.set(row.id, row)
    return this.#announce(kind, row.id, row, by)
  }

  #announce(kind, id, data, by) {
    this.#seq += 1
    const change = this.#change(kind, id, data)
    this.#onChange(change, by)
    return change
  }

  /** The row whole, not what of it has changed: whichever change of a row is seen last, it is right. */
  #change(kind, id, data) {
    return { seq: this.#seq, entity: 'task', row_id: id, kind, data, timestamp: new Date().toISOString() }
  }
}
