// The list of rooms.

import { Live } from '../network/live.js'
import { request } from '../network/request.js'
import { notify } from './notice.js'

/** Shows the rooms. It follows the lobby's stream until `close`. */
export class Lobby {
  live
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
    const hear = (room) => this.#hear(room)
    this.#list = list
    this.#template = template
    list.replaceChildren()
    for (const room of rooms) this.#add(room)
    this.live = new Live('lobby', {
      user,
      async load({ signal }) {
        const { rooms } = await request('GET', '/api/me', { signal })
        rooms.forEach(hear)
      },
      on: { room: hear },
      onState,
      onEnd: onRefused
    })
    onState(this.live)
  }

  close() {
    this.live.close()
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
