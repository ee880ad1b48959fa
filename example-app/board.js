import createError from '@fastify/error'
import { Presence } from './presence.js'
import { slugOf } from './public/slug.js'
import { Rooms } from './rooms.js'
import { Sessions } from './sessions.js'

const TooManySessions = createError('TOO_MANY_SESSIONS', 'Too many people are logged in: try again later', 503)
const RoomTaken = createError('ROOM_TAKEN', 'This name is taken: choose another one', 409)
const TitleChanged = createError('TITLE_CHANGED', '%s changed the title to “%s” meanwhile', 409)
const TooManyRooms = createError('TOO_MANY_ROOMS', 'There are too many rooms already', 409)
const BoardFull = createError('BOARD_FULL', 'The board is full (%s tasks): delete one first', 409)

/**
 * All that the app knows, in memory: who is logged in, the rooms with their tasks, who is here. It stands in for the
 * database of a real app. Whoever calls it awaits the answer, which may come from another process (see cluster.js); so
 * each call checks and changes in one go, and takes and gives plain data.
 */
export class Board {
  #sessions
  #rooms
  #presence
  #broadcast

  /**
   * @param {object} options
   * @param {number} [options.maxTasks] how many tasks a room holds
   * @param {number} [options.maxRooms] how many rooms there may be
   * @param {number} [options.maxSessions] how many may be logged in at once
   * @param {number} [options.sessionLifetime] how long a login lasts, in ms
   * @param {(data: object, options: object) => void} options.broadcast as `app.sse.broadcast`
   */
  constructor({ broadcast, ...limits }) {
    const { maxTasks = 500, maxRooms = 100, maxSessions = 10_000, sessionLifetime = 12 * 60 * 60 * 1000 } = limits
    this.#broadcast = broadcast
    this.#sessions = new Sessions({ lifetime: sessionLifetime, limit: maxSessions })
    this.#rooms = new Rooms({
      limit: maxRooms,
      maxTasks,
      // Who made the change has its answer, so `except` leaves out that one tab: nobody else knows the id of its stream.
      onChange: ({ topic }, change, clientId) => broadcast(change, { topic, event: 'change', except: clientId })
    })
    this.#rooms.create({ title: 'Team A' })
    this.#rooms.create({ title: 'Team B' })
    this.#presence = new Presence((name, people) => {
      broadcast({ people }, { topic: this.#rooms.get(name).topic, event: 'presence' })
    })
  }

  logIn(user) {
    const session = this.#sessions.begin(user)
    if (!session) throw new TooManySessions()
    return session
  }

  findSession(id) {
    return this.#sessions.find(id)
  }

  logOut(id) {
    this.#sessions.end(id)
  }

  /** Those that the user may see. */
  listRooms(user) {
    return this.#rooms.listFor(user).map(describe)
  }

  /** @param {{ title: string, members?: string[], creator: string }} room whom it is for hears of it in the lobby */
  createRoom(room) {
    if (this.#rooms.get(slugOf(room.title))) throw new RoomTaken()
    if (this.#rooms.full) throw new TooManyRooms()
    const created = this.#rooms.create(room)
    for (const topic of created.audience) this.#broadcast(describe(created), { topic, event: 'room' })
    return describe(created)
  }

  /** The room, or undefined where there is none for this user. */
  findRoom(name, user) {
    const room = this.#rooms.find(name, user)
    return room && describe(room)
  }

  snapshot(name) {
    return this.#rooms.get(name).tasks.snapshot()
  }

  /** @param {{ user: string, clientId?: string }} by as in `Tasks` */
  createTask(name, task, by) {
    const { tasks } = this.#rooms.get(name)
    if (tasks.full && !tasks.knows(task.id)) throw new BoardFull(tasks.limit)
    return tasks.create(task, by)
  }

  /**
   * The change, or undefined where there is no such task. A new title replaces the one that its author has seen, `was`,
   * and no other: two who edit one title at a time would overwrite each other unawares.
   */
  updateTask(name, id, { was, ...changes }, by) {
    const { tasks } = this.#rooms.get(name)
    const { title, author } = tasks.find(id) ?? {}
    const isStale = was !== undefined && title !== undefined && title !== was && title !== changes.title?.trim()
    if (isStale) throw new TitleChanged(author, title)
    return tasks.update(id, changes, by)
  }

  /** The change, or undefined where there is no such task. */
  deleteTask(name, id, by) {
    return this.#rooms.get(name).tasks.delete(id, by)
  }

  /** The change, or undefined where the task was deleted too long ago. */
  restoreTask(name, id, changes, by) {
    const { tasks } = this.#rooms.get(name)
    if (tasks.full && !tasks.has(id)) throw new BoardFull(tasks.limit)
    return tasks.restore(id, changes, by)
  }

  /** A client has come into a room: what it is to show. @param {{ id: string, user: string, pid: number }} client */
  enter(name, client) {
    this.#presence.enter(name, client)
    return { people: this.#presence.in(name), ...this.snapshot(name) }
  }

  leave(name, clientId) {
    this.#presence.leave(name, clientId)
  }

  /** A process has ended, and its clients have gone with it. */
  leaveAll(pid) {
    this.#presence.leaveAll(pid)
  }

  /** Announces nothing any more. */
  close() {
    this.#presence.close()
  }
}

function describe({ name, title, members, creator }) {
  return { name, title, members, creator }
}
