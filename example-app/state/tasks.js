// The tasks of the rooms, in the database.

import { randomUUID } from 'node:crypto'
import createError from '@fastify/error'

const TitleChanged = createError('TITLE_CHANGED', '%s changed the title to “%s” meanwhile', 409)
const BoardFull = createError('BOARD_FULL', 'The board is full (%s tasks): delete one first', 409)
const IdTaken = createError('ID_TAKEN', 'Another task has this id already', 409)

/** What the database tells of a task in its change events: see schema.sql. */
const FIELDS = 'id, title, author, status, position, deleted_at, changed_by'
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i

/**
 * The tasks of all rooms. The database tells those who have a room open of each change, so no caller can change a task
 * without telling them. A change is answered with what its event says, and its place in the log, `cursor`. `by` is the name of
 * the person who makes it.
 */
export class Tasks {
  #database
  #limit

  /**
   * @param {import('../database/database.js').Database} database
   * @param {{ limit: number }} options tasks that a room holds at most, and deleted ones that it remembers
   */
  constructor(database, { limit }) {
    this.#database = database
    this.#limit = limit
  }

  /** The tasks of a room, and the place in the log up to which they include all changes, `cursor`. */
  async snapshot(room) {
    const [{ cursor, tasks }] = await this.#database.query(
      `select pylon_sse.cursor() as cursor, coalesce(json_agg(t order by t.position), '[]') as tasks
      from (select ${FIELDS} from board.tasks where room = $1 and deleted_at is null) t`,
      [room]
    )
    return { cursor, tasks }
  }

  /** Creates a task. With an id that is known already, it returns the state of that task, so a client may safely ask twice. */
  create(room, { id = randomUUID(), title }, by) {
    return this.#change(id, by, async (queries) => {
      const task = await queries.find(id)
      if (task && task.room !== room) throw new IdTaken()
      if (task) return task.deleted_at ? 'update' : 'insert'
      await this.#claimPlace(queries, room)
      await queries.query('insert into board.tasks (id, room, title) values ($1, $2, $3)', [id, room, title.trim()])
      return 'insert'
    })
  }

  /**
   * The change, or undefined if there is no such task. A new title is refused if the current one is not `was`, the title
   * that the author has seen: otherwise two people who edit a title would overwrite each other without noticing.
   */
  update(room, id, changes, by) {
    return this.#change(id, by, async (queries) => {
      const task = await queries.find(id)
      if (task?.room !== room || task.deleted_at) return undefined
      return save(queries, task, changes)
    })
  }

  /** The change, or undefined if there is no such task. */
  delete(room, id, by) {
    return this.#change(id, by, async (queries) => {
      const task = await queries.find(id)
      if (task?.room !== room || task.deleted_at) return undefined
      await queries.query('update board.tasks set deleted_at = clock_timestamp() where id = $1', [id])
      await queries.query(
        `delete from board.tasks where id in (
          select id from board.tasks where room = $1 and deleted_at is not null order by deleted_at desc offset $2)`,
        [room, this.#limit]
      )
      return 'update'
    })
  }

  /** Undoes a deletion, with another title if one is given. The change, or undefined if the task is not remembered. */
  restore(room, id, { title }, by) {
    return this.#change(id, by, async (queries) => {
      const task = await queries.find(id)
      const isThere = task?.room === room && !task.deleted_at
      if (isThere) return save(queries, task, { title })
      await this.#claimPlace(queries, room)
      if (task?.room !== room) return undefined
      await queries.query('update board.tasks set deleted_at = null, title = $2 where id = $1', [
        id,
        title?.trim() ?? task.title
      ])
      return 'update'
    })
  }

  /** @throws if the room is full. It cannot become so by somebody else before the transaction ends. */
  async #claimPlace({ query }, room) {
    await query('select from board.rooms where name = $1 for update', [room])
    const [{ count }] = await query(
      'select count(*)::integer as count from board.tasks where room = $1 and deleted_at is null',
      [room]
    )
    if (count >= this.#limit) throw new BoardFull(this.#limit)
  }

  /** @param work makes a change, and resolves with its kind, or with undefined if there is nothing to change */
  #change(id, by, work) {
    return this.#database.transaction(async ({ query }) => {
      await query("select set_config('board.person', $1, true)", [by])
      const find = async (id) => {
        if (!UUID.test(id)) return undefined
        const [task] = await query(
          'select id, room, title, author, status, deleted_at from board.tasks where id = $1 for update',
          [id]
        )
        return task
      }
      const kind = await work({ query, find })
      if (kind === undefined) return undefined
      // Where nothing was changed, it is as of the newest event.
      const [{ cursor, data }] = await query(
        `select coalesce(pylon_sse.last_cursor(), pylon_sse.cursor()) as cursor, to_jsonb(t) as data
        from (select ${FIELDS} from board.tasks where id = $1) t`,
        [id]
      )
      return { cursor, entity: 'tasks', row_id: id, kind, data }
    })
  }
}

async function save({ query }, task, { title: typed, status = task.status, was }) {
  const title = typed?.trim() ?? task.title
  if (was !== undefined && task.title !== was && task.title !== title) throw new TitleChanged(task.author, task.title)
  // Without a difference there is nothing to announce.
  if (title !== task.title || status !== task.status)
    await query('update board.tasks set title = $2, status = $3 where id = $1', [task.id, title, status])
  return 'update'
}
