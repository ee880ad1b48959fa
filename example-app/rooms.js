import { Tasks } from './tasks.js'

/** JSON schema of a person's name. No commas: names are listed with commas between. */
export const PERSON = {
  type: 'string',
  minLength: 1,
  maxLength: 30,
  pattern: "^ *[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N} .'_-]*$"
}

/** JSON schema of a room's name: one word of a topic, so without dots and wildcards. */
export const ROOM = { type: 'string', maxLength: 32, pattern: '^[a-z0-9][a-z0-9-]*$' }

const TOPIC_PREFIX = 'room.'

/** The name of the room whose topic this is. A pattern such as `room.*` names no room. */
export function roomOf(topic) {
  return topic.startsWith(TOPIC_PREFIX) ? topic.slice(TOPIC_PREFIX.length) : undefined
}

/** A board of tasks, and who may see it. */
class Room {
  #members

  /** @param members names; everyone may come in where there are none */
  constructor(name, tasks, members) {
    this.name = name
    this.topic = TOPIC_PREFIX + name
    this.tasks = tasks
    this.#members = members && new Map(members.map((member) => [fold(member), member.trim()]))
  }

  /** The names of those who may come in; undefined for everyone. */
  get members() {
    return this.#members && [...this.#members.values()]
  }

  admits(user) {
    return !this.#members || this.#members.has(fold(user))
  }
}

/** The rooms, in memory. Who asks for one that is not for them learns no more than that there is none for them. */
export class Rooms {
  #rooms = new Map()
  #limit
  #maxTasks
  #onChange

  /** @param onChange `(room, change, by)`, called with every change of a task, `by` as it was given to the change */
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

  create(name, members) {
    const onChange = (change, by) => this.#onChange(room, change, by)
    const room = new Room(name, new Tasks({ limit: this.#maxTasks, onChange }), members)
    this.#rooms.set(name, room)
    return room
  }

  /** The room, or undefined where there is none for this user. */
  find(name, user) {
    const room = this.#rooms.get(name)
    return room?.admits(user) ? room : undefined
  }

  /** Those that the user may see. */
  listFor(user) {
    return [...this.#rooms.values()].filter((room) => room.admits(user))
  }
}

/** What of two names must be equal for them to be one person's. */
function fold(name) {
  return name.trim().normalize('NFKC').toLowerCase()
}
