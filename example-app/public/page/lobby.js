import { Stream } from '../server/stream.js'
import { notify } from './notice.js'

/** The list of rooms. It follows the lobby's stream until `close`. */
export class Lobby {
  stream
  #list
  #template
  #user

  /**
   * @param {object} options
   * @param {string} options.user
   * @param {HTMLElement} options.list
   * @param {HTMLTemplateElement} options.template of one room
   * @param {object[]} options.rooms the rooms that are known already
   */
  constructor({ user, list, template, rooms, onState, onRefused }) {
    this.#user = user
    this.#list = list
    this.#template = template
    list.replaceChildren()
    for (const room of rooms) this.#add(room)
    this.stream = new Stream('lobby', {
      onState,
      onRefused,
      on: {
        // The first event of every connection.
        rooms: ({ rooms }) => {
          for (const room of rooms) this.#hear(room)
        },
        room: (room) => this.#hear(room),
        resync: () => this.stream.open()
      }
    })
    onState(this.stream.state)
    this.stream.open()
  }

  close() {
    this.stream.close()
  }

  #hear(room) {
    if (this.#find(room)) return
    this.#add(room).querySelector('a').classList.add('changed')
    const { title, members, creator } = room
    if (creator === this.#user) return
    notify(members ? `${creator} has invited you to “${title}”` : `${creator} has made the room “${title}”`)
  }

  #find({ name }) {
    return [...this.#list.children].find((item) => item.dataset.name === name)
  }

  #add({ name, title, members }) {
    const item = this.#template.content.firstElementChild.cloneNode(true)
    item.dataset.name = name
    item.classList.toggle('private', members !== undefined)
    item.querySelector('a').href = `#${encodeURIComponent(name)}`
    item.querySelector('.name').textContent = title
    item.querySelector('.slug').textContent = `#${name}`
    item.querySelector('.members').textContent = describeMembers(members)
    this.#list.append(item)
    return item
  }
}

export function describeMembers(members) {
  return members ? `Only for ${members.join(', ')}` : 'For everyone'
}
