// All that the app knows, for its routes and its stream.

import createError from '@fastify/error'
import { Presence } from './presence.js'
import { Rooms } from './rooms.js'
import { Sessions } from './sessions.js'
import { Tasks } from './tasks.js'

const TooManySessions = createError('TOO_MANY_SESSIONS', 'Too many people are logged in: try again later', 503)

/** The state of the app, in the database: sessions, rooms with their tasks, and who is in which room. */
export class Board {
  #sessions
  #rooms
  #tasks
  #presence

  /**
   * @param {import('../database/database.js').Database} database
   * @param {object} options
   * @param {number} [options.maxTasks] tasks that a room holds at most
   * @param {number} [options.maxRooms] rooms at most
   * @param {number} [options.maxSessions] sessions at most
   * @param {number} [options.sessionLifetime] lifetime of a session, ms
   * @param {string} options.processId what tells this process from others with the same database
   * @param {(error: Error) => void} options.onError
   */
  constructor(database, options) {
    const { maxTasks = 500, maxRooms = 100, maxSessions = 10_000, sessionLifetime = 12 * 60 * 60 * 1000 } = options
    this.#sessions = new Sessions(database, { lifetime: sessionLifetime, limit: maxSessions })
    this.#rooms = new Rooms(database, { limit: maxRooms })
    this.#tasks = new Tasks(database, { limit: maxTasks })
    this.#presence = new Presence(database, options)
  }

  async logIn(user) {
    const session = await this.#sessions.begin(user)
    if (!session) throw new TooManySessions()
    return session
  }

  findSession(id) {
    return this.#sessions.find(id)
  }

  logOut(id) {
    return this.#sessions.end(id)
  }

  /** The rooms that the user may see. */
  listRooms(user) {
    return this.#rooms.listFor(user)
  }

  /** The room, or undefined if there is none for this user. */
  findRoom(name, user) {
    return this.#rooms.find(name, user)
  }

  /** @param {{ title: string, members?: string[], creator: string }} room those who may enter hear of it in the lobby */
  createRoom(room) {
    return this.#rooms.create(room)
  }

  get tasks() {
    return this.#tasks
  }

  /**
   * What a page shows of a room. Events up to the place `cursor` in the log can be ignored: the rest includes what they tell.
   */
  async snapshot(room) {
    const rows = await this.#tasks.snapshot(room)
    // Read after the place, so that no event up to it tells of people who are not among these.
    return { ...rows, people: await this.#presence.in(room) }
  }

  /** @param {{ id: string, user: string }} client */
  enter(room, client) {
    this.#presence.enter(room, client)
  }

  leave(clientId) {
    this.#presence.leave(clientId)
  }

  close() {
    return this.#presence.close()
  }
}
