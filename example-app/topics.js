import { createHash } from 'node:crypto'
import { fold } from './person.js'

/** Rooms for everyone are announced here. */
export const LOBBY = 'lobby'

const ROOM = 'room.'

export function topicOfRoom(name) {
  return ROOM + name
}

/** The name of the room whose topic this is. A pattern such as `room.*` names no room. */
export function roomOfTopic(topic) {
  return topic.startsWith(ROOM) ? topic.slice(ROOM.length) : undefined
}

/** What is for one person alone, in all their tabs. A name may hold dots and be long: a topic is words of limited length. */
export function topicOfPerson(name) {
  return `person.${createHash('sha256').update(fold(name)).digest('base64url')}`
}
