import { randomUUID } from 'node:crypto'
import { STATUSES } from '../public/shared/statuses.js'

/**
 * The tasks of one room, in memory. Every change gets the next `seq` and is passed to `onChange`, so no caller can change a
 * task without telling the others. `by` says who makes a change: `user`, their name, becomes part of it; `clientId`, the
 * stream that does not need to hear of it, is passed on beside it.
 */
export class Tasks {
  #rows = new Map()
  /** The rows that were deleted last, as many as the room holds, so that deleting can be undone. */
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

  /** Whether a task with this id exists, or was deleted and is remembered. */
  knows(id) {
    return this.#rows.has(id) || this.#deleted.has(id)
  }

  /** The rows, and the `seq` of the latest change that they include: earlier changes can be ignored. */
  snapshot() {
    return { seq: this.#seq, tasks: [...this.#rows.values()] }
  }

  /** Creates a task. With an id that is known already, it returns the state of that task, so a client may safely ask twice. */
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

  /** The change, or undefined if there is no such task. */
  update(id, { title, status }, by) {
    const row = this.#rows.get(id)
    if (!row) return undefined
    const next = { ...retitle(row, title, by), status: status ?? row.status }
    const moved = next.status !== row.status
    // Without a difference there is nothing to announce.
    if (!moved && next.title === row.title) return this.#change('update', id, row, by)
    // The task that entered a column last is the first in it.
    if (moved) next.position = this.#seq + 1
    return this.#save('update', next, by)
  }

  /** The change, or undefined if there is no such task. */
  delete(id, by) {
    const row = this.#rows.get(id)
    if (!row) return undefined
    this.#rows.delete(id)
    this.#deleted.set(id, row)
    if (this.#deleted.size > this.limit) this.#deleted.delete(this.#deleted.keys().next().value)
    return this.#announce('delete', id, null, by)
  }

  /** Undoes a deletion, with another title if one is given. The change, or undefined if the task is not remembered. */
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

  /** A change contains the whole row, so that the latest one is enough to show it. */
  #change(kind, id, data, by) {
    const timestamp = new Date().toISOString()
    return { seq: this.#seq, entity: 'task', row_id: id, kind, data, user: by?.user, timestamp }
  }
}

/** `author` is who wrote the current title. */
function retitle(row, title, by) {
  const next = title?.trim() ?? row.title
  return next === row.title ? row : { ...row, title: next, author: by?.user }
}
