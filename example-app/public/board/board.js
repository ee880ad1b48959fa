// The board as it stands in the page.

import { Card } from './card.js'

/** The columns of a room and their cards: order, drag and drop, focus. */
export class Board {
  #element
  #templates
  #asks
  #columns = new Map()
  #cards = new Map()

  /** @param {object} asks as in `Card` */
  constructor(element, { templates, asks }) {
    this.#element = element
    this.#templates = templates
    this.#asks = asks
    for (const column of element.querySelectorAll('.column')) {
      this.#columns.set(column.dataset.status, {
        heading: column.querySelector('h2'),
        list: column.querySelector('.cards'),
        count: column.querySelector('.count')
      })
      this.#acceptDrops(column)
    }
  }

  /** The titles that are being edited and are not saved. */
  get drafts() {
    return [...this.#cards.values()].flatMap((card) => card.draft ?? [])
  }

  taskOf(id) {
    const card = this.#cards.get(id)
    return card?.isGhost ? undefined : card?.task
  }

  /** Whether the focus is in the card of this task. */
  isFocused(id) {
    return this.#cards.get(id)?.hasFocus ?? false
  }

  focus(id) {
    this.#cards.get(id)?.focus()
  }

  /**
   * Shows exactly these tasks. Cards that are already there are kept, with their focus and with an edit in progress. Returns the
   * ids of those that are new, changed or gone.
   */
  reset(tasks) {
    const first = this.#element.ariaBusy === 'true'
    this.#element.ariaBusy = 'false'
    const ids = new Set(tasks.map((task) => task.id))
    const gone = [...this.#cards.keys()].filter((id) => !ids.has(id) && this.taskOf(id))
    for (const id of gone) this.remove(id)
    const changed = tasks.filter((task) => this.#put(task, !first))
    this.#countCards()
    return [...gone, ...changed.map(({ id }) => id)]
  }

  put(task) {
    this.#put(task, true)
    this.#countCards()
  }

  /** @param {{ user?: string }} [change] */
  remove(id, { user } = {}) {
    const card = this.#cards.get(id)
    if (!card || card.isGhost) return
    if (card.isEdited) card.becomeGhost(user)
    else this.#drop(card, card.hasFocus)
    this.#countCards()
  }

  /** Returns whether it shows anything new. */
  #put(task, highlight) {
    const card = this.#cards.get(task.id) ?? this.#createCard(task.id)
    const before = card.task
    const focused = card.hasFocus ? document.activeElement : undefined
    const hasMoved = before?.position !== task.position || before.status !== task.status
    const isNews = hasMoved || before.title !== task.title || card.isGhost
    if (isNews) {
      card.show(task)
      if (highlight) this.#highlight(card.element)
    }
    card.task = task
    if (hasMoved) this.#place(card)
    if (!focused) return isNews
    // A focused button that does something else now must not get the next key press, unless it moved the card itself.
    const hasChanged = hasMoved && focused.matches('.actions button') && card.heading !== task.status
    const heir = focused.hidden || hasChanged ? card.element : focused
    // An element loses the focus when it is moved.
    if (heir !== document.activeElement) heir.focus()
    return isNews
  }

  #createCard(id) {
    const card = new Card(id, this.#templates, this.#asks, (hadFocus) => this.#drop(card, hadFocus))
    this.#cards.set(id, card)
    return card
  }

  #drop(card, hadFocus) {
    const { element } = card
    const neighbour = element.nextElementSibling ?? element.previousElementSibling
    const { heading } = this.#columns.get(card.task.status)
    this.#cards.delete(card.task.id)
    element.remove()
    this.#countCards()
    // The focus moves to the card, not to a button, so that the next key press does nothing to another task.
    if (hadFocus) (neighbour ?? heading).focus()
  }

  #place({ element, task: { status, position } }) {
    const { list } = this.#columns.get(status)
    const next = [...list.children].find(
      (other) => other !== element && this.#cards.get(other.dataset.id).task.position < position
    )
    list.insertBefore(element, next ?? null)
  }

  #acceptDrops(column) {
    const stop = () => column.classList.remove('target')
    column.ondragover = (event) => {
      if (!event.dataTransfer.types.includes('application/x-task')) return
      event.preventDefault()
      column.classList.add('target')
    }
    column.ondragleave = (event) => {
      if (!column.contains(event.relatedTarget)) stop()
    }
    column.ondrop = (event) => {
      event.preventDefault()
      stop()
      const card = this.#cards.get(event.dataTransfer.getData('application/x-task'))
      const { status } = column.dataset
      if (card && card.task.status !== status) card.move(status)
    }
  }

  #highlight(element) {
    element.classList.add('changed')
    // Restarts the animation of an earlier change.
    for (const animation of element.getAnimations()) animation.currentTime = 0
  }

  #countCards() {
    for (const { list, count } of this.#columns.values()) {
      count.textContent = list.querySelectorAll(':scope > :not(.ghost)').length || ''
    }
  }
}
