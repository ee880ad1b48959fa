// The rooms and who may enter them.

import createError from '@fastify/error'
import { slugOf } from '../public/shared/slug.js'
import { fold } from './person.js'
import { LOBBY, topicOfPerson } from './topics.js'

/** JSON schema of a room's title. The description is used in error messages. */
export const ROOM_TITLE = {
  type: 'string',
  maxLength: 32,
  pattern: '^\\P{C}*[\\p{L}\\p{N}]\\P{C}*$',
  description: "A room's name takes up to 32 visible characters, and at least one of them is a letter or a digit"
}

const RoomTaken = createError('ROOM_TAKEN', 'This name is taken: choose another one', 409)
const TooManyRooms = createError('TOO_MANY_ROOMS', 'There are too many rooms already', 409)

/** All rooms, and who may see them. A room that a user may not enter is answered as one that does not exist. */
export class Rooms {
  #database
  #limit

  /**
   * @param {import('../database/database.js').Database} database
   * @param {{ limit: number }} options
   */
  constructor(database, { limit }) {
    this.#database = database
    this.#limit = limit
  }

  /**
   * Creates a room. The database announces it to those who may enter.
   *
   * @param {object} room
   * @param {string} room.title as it was typed; the name in URLs and topics is derived from it
   * @param {string[]} [room.members] names of those who may enter; default: everyone
   * @param {string} room.creator
   */
  async create({ title, members, creator }) {
    const name = slugOf(title)
    const names = members && [...new Map(members.map((member) => [fold(member), member.trim()])).values()]
    const audience = names?.map(topicOfPerson) ?? [LOBBY]
    return this.#database.transaction(async ({ query }) => {
      await query('lock table board.rooms in share row exclusive mode')
      const [{ count, taken }] = await query(
        'select count(*)::integer as count, coalesce(bool_or(name = $1), false) as taken from board.rooms',
        [name]
      )
      if (taken) throw new RoomTaken()
      if (count >= this.#limit) throw new TooManyRooms()
      const [room] = await query(
        `insert into board.rooms (name, title, members, creator, audience) values ($1, $2, $3, $4, $5)
        returning name, title, members, creator`,
        [name, title.trim(), names ?? null, creator, audience]
      )
      return describe(room)
    })
  }

  /** The room, or undefined if there is none for this user. */
  async find(name, user) {
    const [room] = await this.#database.query('select name, title, members, creator from board.rooms where name = $1', [
      name
    ])
    return room && admits(room, user) ? describe(room) : undefined
  }

  /** The rooms that the user may see. */
  async listFor(user) {
    const rooms = await this.#database.query('select name, title, members, creator from board.rooms order by number')
    return rooms.filter((room) => admits(room, user)).map(describe)
  }
}

function admits({ members }, user) {
  return !members?.every((member) => fold(member) !== fold(user))
}

/** A room for everyone has no `members`. */
function describe({ name, title, members, creator }) {
  return { name, title, members: members ?? undefined, creator: creator ?? undefined }
}
