import { notifyOf } from './notice.js'
import { request } from './request.js'

/** The list of rooms, and the form that adds one. */
export class Lobby {
  #list
  #template

  constructor({ list, template, form, onCreate, onRefused }) {
    this.#list = list
    this.#template = template
    const { name, members } = form.elements
    form.onsubmit = async (event) => {
      event.preventDefault()
      const body = { name: name.value.trim().toLowerCase().replace(/ +/g, '-'), members: namesIn(members.value) }
      try {
        const room = await request('POST', '/api/rooms', { body })
        form.reset()
        onCreate(room)
      } catch (error) {
        notifyOf(error)
        name.focus()
        if (error.status === 401) onRefused()
      }
    }
  }

  show(rooms) {
    this.#list.replaceChildren(
      ...rooms.map(({ name, members }) => {
        const item = this.#template.content.firstElementChild.cloneNode(true)
        item.querySelector('a').href = `#${name}`
        item.querySelector('.name').textContent = name
        item.querySelector('.members').textContent = members ? `Only for ${members.join(', ')}` : 'For everyone'
        item.classList.toggle('private', members !== undefined)
        return item
      })
    )
  }
}

function namesIn(text) {
  return text.split(',').flatMap((name) => name.trim() || [])
}
