// One card of the board.

import { STATUSES } from '../shared/statuses.js'
import { Editor } from './editor.js'

const ADVANCE = { todo: 'Start', doing: 'Finish' }
const BACK = { doing: 'Put back', done: 'Reopen' }

/** The card of one task: what it shows, and its buttons. Where it stands is the board's business. */
export class Card {
  element
  task
  /** The status that this tab has asked for and the server has not confirmed. */
  heading
  #title
  #advance
  #back
  #edit
  #remove
  #actions
  #template
  #editor
  #asks
  #onEnd

  /**
   * @param {{ card: HTMLTemplateElement, editor: HTMLTemplateElement }} templates
   * @param {object} asks `move(id, status)`, `save(id, title, over)` and `remove(id)`, which ask the server
   * @param {(hadFocus: boolean) => void} onLetGo called when the edit of a deleted task's title ends
   */
  constructor(id, { card, editor }, asks, onLetGo) {
    this.element = card.content.firstElementChild.cloneNode(true)
    const find = (selector) => this.element.querySelector(selector)
    this.#title = find('.title')
    this.#actions = find('.actions')
    this.#advance = find('.advance')
    this.#back = find('.back')
    this.#edit = find('.edit')
    this.#remove = find('.delete')
    this.#template = editor
    this.#asks = asks
    this.#onEnd = onLetGo
    this.element.dataset.id = id
    // The title is no button, since not every browser can drag one. From the keyboard there is the pencil.
    this.#title.onclick = () => this.edit()
    this.#edit.onclick = () => this.edit()
    this.#advance.onclick = () => this.#step(1)
    this.#back.onclick = () => this.#step(-1)
    this.#remove.onclick = () => asks.remove(id)
    this.element.ondragstart = (event) => {
      event.dataTransfer.setData('application/x-task', id)
      event.dataTransfer.effectAllowed = 'move'
    }
    this.element.onanimationend = () => this.element.classList.remove('changed')
  }

  get isEdited() {
    return this.#editor !== undefined
  }

  /** Whether the task is deleted, and the card is only kept for the unsaved edit of its title. */
  get isGhost() {
    return this.element.classList.contains('ghost')
  }

  /** The unsaved title, if any. */
  get draft() {
    return this.#editor?.draft
  }

  get hasFocus() {
    return this.element.contains(document.activeElement)
  }

  /** Takes the focus itself, where no key does anything. */
  focus() {
    this.element.focus()
  }

  show(task) {
    const { title, status } = task
    this.task = task
    this.element.classList.remove('ghost')
    this.element.dataset.status = status
    this.#title.textContent = title
    this.#edit.setAttribute('aria-label', `Edit ${title}`)
    this.#remove.setAttribute('aria-label', `Delete ${title}`)
    for (const [button, name] of [
      [this.#advance, ADVANCE[status]],
      [this.#back, BACK[status]]
    ]) {
      button.hidden = !name
      if (!name) continue
      button.textContent = name
      button.setAttribute('aria-label', `${name}: ${title}`)
    }
    this.#editor?.changed(title, task.author)
  }

  /** Keeps the card of a deleted task, since its title is being edited. */
  becomeGhost(user) {
    this.element.classList.add('ghost')
    this.#editor.deleted(user)
  }

  async move(status) {
    this.heading = status
    await this.#asks.move(this.task.id, status)
    this.heading = undefined
  }

  edit() {
    if (this.#editor) return
    const { id, title } = this.task
    this.#editor = new Editor(this.#template, {
      title,
      onSave: (text, over) => this.#asks.save(id, text, over),
      onEnd: (hadFocus) => this.#endEdit(hadFocus)
    })
    this.#title.hidden = this.#actions.hidden = true
    // A draggable card would be dragged when text in it is selected with the mouse.
    this.element.draggable = false
    this.element.prepend(this.#editor.element)
    this.#editor.start()
  }

  #endEdit(hadFocus) {
    this.#editor.element.remove()
    this.#editor = undefined
    this.#title.hidden = this.#actions.hidden = false
    this.element.draggable = true
    if (this.isGhost) this.#onEnd(hadFocus)
    else if (hadFocus) this.#edit.focus()
  }

  #step(by) {
    this.move(STATUSES[STATUSES.indexOf(this.task.status) + by])
  }
}
