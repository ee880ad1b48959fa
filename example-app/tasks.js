import { randomUUID } from 'node:crypto'

export const STATUSES = ['todo', 'doing', 'done']

/**
 * The tasks of one board, in memory. Every change gets the next `seq` and is handed to `onChange`, so no caller can
 * change a task and forget to tell the others. `by` is who makes a change: `user`, their name, goes into it; `clientId`,
 * the stream that need not be told, is handed on beside it.
 */
export class Tasks {
  #rows = new Map()
  /** The rows that were deleted last, as many as the board holds: deleting can be undone. */
  #deleted = new Map()
  #seq = 0
  #onChange

  constructor({ limit, onChange }) {
    this.limit = limit
    this.#onChange = onChange
  }

  get full() {
    return this.#rows.size >= this.limit
  }

  has(id) {
    return this.#rows.has(id)
  }

  /** Whether a task of this id was ever created, as far back as is remembered. */
  knows(id) {
    return this.#rows.has(id) || this.#deleted.has(id)
  }

  /** The rows together with the `seq` they include: whoever follows the changes too knows which ones to ignore. */
  snapshot() {
    return { seq: this.#seq, tasks: [...this.#rows.values()] }
  }

  /** With an id that is known already, it answers what has become of that task: a client may safely ask twice. */
  create({ id = randomUUID(), title }, by) {
    if (this.#rows.has(id)) return this.#change('insert', id, this.#rows.get(id), by)
    if (this.#deleted.has(id)) return this.#change('delete', id, null, by)
    const position = this.#seq + 1
    const row = { id, title: title.trim(), author: by?.user, status: STATUSES[0], position }
    return this.#save('insert', row, by)
  }

  find(id) {
    return this.#rows.get(id)
  }

  /** The change, or undefined where there is no such task. */
  update(id, { title, status }, by) {
    const row = this.#rows.get(id)
    if (!row) return undefined
    const next = { ...retitle(row, title, by), status: status ?? row.status }
    const moved = next.status !== row.status
    // Setting what is already set is no news to anyone.
    if (!moved && next.title === row.title) return this.#change('update', id, row, by)
    // What came into a column last stands first in it, in every tab alike.
    if (moved) next.position = this.#seq + 1
    return this.#save('update', next, by)
  }

  /** The change, or undefined where there is no such task. */
  delete(id, by) {
    const row = this.#rows.get(id)
    if (!row) return undefined
    this.#rows.delete(id)
    this.#deleted.set(id, row)
    if (this.#deleted.size > this.limit) this.#deleted.delete(this.#deleted.keys().next().value)
    return this.#announce('delete', id, null, by)
  }

  /** Puts a task back where it was, under another title if one is given. The change, or undefined where it is forgotten. */
  restore(id, { title }, by) {
    if (this.#rows.has(id)) return this.update(id, { title }, by)
    const row = this.#deleted.get(id)
    if (!row) return undefined
    this.#deleted.delete(id)
    return this.#save('insert', retitle(row, title, by), by)
  }

  #save(kind, row, by) {
    this.#rows.set(row.id, row)
    return this.#announce(kind, row.id, row, by)
  }

  #announce(kind, id, data, by) {
    this.#seq += 1
    const change = this.#change(kind, id, data, by)
    this.#onChange(change, by?.clientId)
    return change
  }

  /** The row whole, not what of it has changed: whichever change of a row is seen last, it is right. */
  #change(kind, id, data, by) {
    const timestamp = new Date().toISOString()
    return { seq: this.#seq, entity: 'task', row_id: id, kind, data, user: by?.user, timestamp }
  }
}

/** `author` is who wrote the title as it is. */
function retitle(row, title, by) {
  const next = title?.trim() ?? row.title
  return next === row.title ? row : { ...row, title: next, author: by?.user }
}
