import { randomUUID } from 'node:crypto'

export const STATUSES = ['todo', 'doing', 'done']

/**
 * The tasks of one board, in memory. Every change gets the next `seq` and is handed to `onChange`, so no caller can
 * change a task and forget to tell the others.
 */
export class Tasks {
  #rows = new Map()
  #seq = 0
  #limit
  #onChange

  constructor({ limit, onChange }) {
    this.#limit = limit
    this.#onChange = onChange
  }

  get full() {
    return this.#rows.size >= this.#limit
  }

  /** The rows together with the `seq` they include: whoever follows the changes too knows which ones to ignore. */
  snapshot() {
    return { seq: this.#seq, tasks: [...this.#rows.values()] }
  }

  create({ title }) {
    return this.#save('insert', {
      id: randomUUID(),
      title: title.trim(),
      status: STATUSES[0],
      position: this.#seq + 1
    })
  }

  /** The row as it is now, or undefined where there is none. */
  update(id, { title, status }) {
    const row = this.#rows.get(id)
    if (!row) return undefined
    const next = { ...row, title: title?.trim() ?? row.title, status: status ?? row.status }
    const moved = next.status !== row.status
    // Setting what is already set is no news to anyone.
    if (!moved && next.title === row.title) return row
    // What came into a column last stands first in it, in every tab alike.
    if (moved) next.position = this.#seq + 1
    return this.#save('update', next)
  }

  delete(id) {
    if (!this.#rows.delete(id)) return false
    this.#announce('delete', id, null)
    return true
  }

  #save(kind, row) {
    this.#rows.set(row.id, row)
    this.#announce(kind, row.id, row)
    return row
  }

  #announce(kind, id, data) {
    this.#seq += 1
    this.#onChange({
      seq: this.#seq,
      entity: 'task',
      row_id: id,
      kind,
      data,
      timestamp: new Date().toISOString()
    })
  }
}
