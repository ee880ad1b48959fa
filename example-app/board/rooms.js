import { slugOf } from '../public/shared/slug.js'
import { fold } from './person.js'
import { Tasks } from './tasks.js'
import { LOBBY, topicOfPerson, topicOfRoom } from './topics.js'

/** JSON schema of a room's title. The description is used in error messages. */
export const ROOM_TITLE = {
  type: 'string',
  maxLength: 32,
  pattern: '^\\P{C}*[\\p{L}\\p{N}]\\P{C}*$',
  description: "A room's name takes up to 32 visible characters, and at least one of them is a letter or a digit"
}

/** One room: its tasks, and who may see it. */
class Room {
  #members

  /**
   * @param {object} room
   * @param {string} room.title as it was typed; the name in URLs and topics is derived from it
   * @param {string[]} [room.members] names of those who may enter; default: everyone
   * @param {string} [room.creator]
   * @param {Tasks} room.tasks
   */
  constructor({ title, members, creator, tasks }) {
    this.name = slugOf(title)
    this.title = title.trim()
    this.creator = creator
    this.topic = topicOfRoom(this.name)
    this.tasks = tasks
    this.#members = members && new Map(members.map((member) => [fold(member), member.trim()]))
  }

  /** The names of those who may enter; undefined for everyone. */
  get members() {
    return this.#members && [...this.#members.values()]
  }

  /** The topics on which the new room is announced. */
  get audience() {
    return this.members?.map(topicOfPerson) ?? [LOBBY]
  }

  admits(user) {
    return !this.#members || this.#members.has(fold(user))
  }
}

/** All rooms, in memory. A room that a user may not enter is answered as one that does not exist. */
export class Rooms {
  #rooms = new Map()
  #limit
  #maxTasks
  #onChange

  /** @param onChange `(room, change, clientId)`, called with every change of a task: see `Tasks` */
  constructor({ limit, maxTasks, onChange }) {
    this.#limit = limit
    this.#maxTasks = maxTasks
    this.#onChange = onChange
  }

  get full() {
    return this.#rooms.size >= this.#limit
  }

  get(name) {
    return this.#rooms.get(name)
  }

  /** @param {{ title: string, members?: string[], creator?: string }} description */
  create(description) {
    const onChange = (change, clientId) => this.#onChange(room, change, clientId)
    const room = new Room({ ...description, tasks: new Tasks({ limit: this.#maxTasks, onChange }) })
    this.#rooms.set(room.name, room)
    return room
  }

  /** The room, or undefined if there is none for this user. */
  find(name, user) {
    const room = this.#rooms.get(name)
    return room?.admits(user) ? room : undefined
  }

  /** The rooms that the user may see. */
  listFor(user) {
    return [...this.#rooms.values()].filter((room) => room.admits(user))
  }
}
