// The topics of the event stream: one for the lobby, one for each room, one for each person.

import { createHash } from 'node:crypto'
import { fold } from './person.js'

/** The topic on which rooms for everyone are announced. */
export const LOBBY = 'lobby'

const ROOM = 'room.'

export function topicOfRoom(name) {
  return ROOM + name
}

/** The name of the room whose topic this is. A pattern such as `room.*` names no room. */
export function roomOfTopic(topic) {
  return topic.startsWith(ROOM) ? topic.slice(ROOM.length) : undefined
}

/** The topic of one person, for all their tabs. Hashed, since a name may contain dots, which separate the words of a topic. */
export function topicOfPerson(name) {
  return `person.${createHash('sha256').update(fold(name)).digest('base64url')}`
}
