import createError from '@fastify/error'
import { slugOf } from '../public/shared/slug.js'
import { Presence } from './presence.js'
import { Rooms } from './rooms.js'
import { Sessions } from './sessions.js'

const TooManySessions = createError('TOO_MANY_SESSIONS', 'Too many people are logged in: try again later', 503)
const RoomTaken = createError('ROOM_TAKEN', 'This name is taken: choose another one', 409)
const TitleChanged = createError('TITLE_CHANGED', '%s changed the title to “%s” meanwhile', 409)
const TooManyRooms = createError('TOO_MANY_ROOMS', 'There are too many rooms already', 409)
const BoardFull = createError('BOARD_FULL', 'The board is full (%s tasks): delete one first', 409)

/**
 * The state of the app, in memory, in place of a database: sessions, rooms with their tasks, and who is in which room. It may
 * be in another process than its callers (see cluster.js). So callers await every answer, each call checks and changes in one
 * step, and arguments and results are plain data.
 */
export class Board {
  #sessions
  #rooms
  #presence
  #broadcast

  /**
   * @param {object} options
   * @param {number} [options.maxTasks] tasks that a room holds at most
   * @param {number} [options.maxRooms] rooms at most
   * @param {number} [options.maxSessions] sessions at most
   * @param {number} [options.sessionLifetime] lifetime of a session, ms
   * @param {(data: object, options: object) => void} options.broadcast as `app.sse.broadcast`
   */
  constructor({ broadcast, ...limits }) {
    const { maxTasks = 500, maxRooms = 100, maxSessions = 10_000, sessionLifetime = 12 * 60 * 60 * 1000 } = limits
    this.#broadcast = broadcast
    this.#sessions = new Sessions({ lifetime: sessionLifetime, limit: maxSessions })
    this.#rooms = new Rooms({
      limit: maxRooms,
      maxTasks,
      // The tab that made the change gets it as the answer to its request, so its stream is left out.
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

  /** The rooms that the user may see. */
  listRooms(user) {
    return this.#rooms.listFor(user).map(describe)
  }

  /** @param {{ title: string, members?: string[], creator: string }} room those who may enter hear of it in the lobby */
  createRoom(room) {
    if (this.#rooms.get(slugOf(room.title))) throw new RoomTaken()
    if (this.#rooms.full) throw new TooManyRooms()
    const created = this.#rooms.create(room)
    for (const topic of created.audience) this.#broadcast(describe(created), { topic, event: 'room' })
    return describe(created)
  }

  /** The room, or undefined if there is none for this user. */
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
   * The change, or undefined if there is no such task. A new title is refused if the current one is not `was`, the title
   * that the author has seen: otherwise two people who edit a title would overwrite each other without noticing.
   */
  updateTask(name, id, { was, ...changes }, by) {
    const { tasks } = this.#rooms.get(name)
    const { title, author } = tasks.find(id) ?? {}
    const isStale = was !== undefined && title !== undefined && title !== was && title !== changes.title?.trim()
    if (isStale) throw new TitleChanged(author, title)
    return tasks.update(id, changes, by)
  }

  /** The change, or undefined if there is no such task. */
  deleteTask(name, id, by) {
    return this.#rooms.get(name).tasks.delete(id, by)
  }

  /** The change, or undefined if the task was deleted too long ago. */
  restoreTask(name, id, changes, by) {
    const { tasks } = this.#rooms.get(name)
    if (tasks.full && !tasks.has(id)) throw new BoardFull(tasks.limit)
    return tasks.restore(id, changes, by)
  }

  /** Adds a client to a room, and returns what the page shows. @param {{ id: string, user: string, pid: number }} client */
  enter(name, client) {
    this.#presence.enter(name, client)
    return { people: this.#presence.in(name), ...this.snapshot(name) }
  }

  leave(name, clientId) {
    this.#presence.leave(name, clientId)
  }

  /** Removes the clients of a process that has exited. */
  leaveAll(pid) {
    this.#presence.leaveAll(pid)
  }

  /** Stops announcing who is here. */
  close() {
    this.#presence.close()
  }
}

function describe({ name, title, members, creator }) {
  return { name, title, members, creator }
}
