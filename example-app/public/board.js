const STATUSES = ['todo', 'doing', 'done']
const ADVANCE = { todo: 'Start', doing: 'Finish' }
const BACK = { doing: 'Put back', done: 'Reopen' }

/** The columns and their cards. It shows what it is told, and asks for changes through `onChange` and `onDelete`. */
export class Board {
  #element
  #template
  #onChange
  #onDelete
  #columns = new Map()
  #cards = new Map()
  #moving = false

  constructor(element, { template, onChange, onDelete }) {
    this.#element = element
    this.#template = template
    this.#onChange = onChange
    this.#onDelete = onDelete
    for (const column of element.querySelectorAll('.column')) {
      this.#columns.set(column.dataset.status, {
        list: column.querySelector('ul'),
        count: column.querySelector('.count')
      })
      this.#acceptDrops(column)
    }
  }

  /** Shows exactly these tasks. Cards that stay are kept: with them their focus and an edit under way. */
  reset(tasks) {
    const first = this.#element.ariaBusy === 'true'
    this.#element.ariaBusy = 'false'
    const ids = new Set(tasks.map((task) => task.id))
    for (const id of [...this.#cards.keys()]) if (!ids.has(id)) this.remove(id)
    for (const task of tasks) this.put(task, { highlight: !first })
    this.#countCards()
  }

  put(task, { highlight = true } = {}) {
    const card = this.#cards.get(task.id) ?? this.#createCard(task.id)
    const before = card.task
    card.task = task
    const focused = card.element.contains(document.activeElement) ? document.activeElement : undefined
    if (before?.title !== task.title || before.status !== task.status) {
      this.#label(card, task)
      if (highlight) this.#highlight(card.element)
    }
    if (before?.position !== task.position || before.status !== task.status) this.#place(card, task)
    // An element that moves loses the focus, and a button may be gone once it has moved its card.
    const heir = focused?.hidden ? card.edit : focused
    if (heir !== document.activeElement) heir?.focus()
    this.#countCards()
  }

  remove(id) {
    const card = this.#cards.get(id)
    if (!card) return
    this.#cards.delete(id)
    const hadFocus = card.element.contains(document.activeElement)
    const neighbour = card.element.nextElementSibling ?? card.element.previousElementSibling
    this.#quietly(() => card.element.remove())
    // Someone who deletes one by one from the keyboard should not start from the top of the page each time.
    if (hadFocus) neighbour?.querySelector('.delete').focus()
    this.#countCards()
  }

  #createCard(id) {
    const element = this.#template.content.firstElementChild.cloneNode(true)
    const find = (selector) => element.querySelector(selector)
    const card = {
      element,
      title: find('.title'),
      advance: find('.advance'),
      back: find('.back'),
      edit: find('.edit'),
      remove: find('.delete')
    }
    element.dataset.id = id
    // The pencil does the same from the keyboard; a button for a title could not be dragged in every browser.
    card.title.onclick = () => this.#edit(card)
    card.edit.onclick = () => this.#edit(card)
    card.advance.onclick = () => this.#step(card, 1)
    card.back.onclick = () => this.#step(card, -1)
    card.remove.onclick = () => this.#onDelete(id)
    element.ondragstart = (event) => {
      event.dataTransfer.setData('application/x-task', id)
      event.dataTransfer.effectAllowed = 'move'
    }
    element.onanimationend = () => element.classList.remove('changed')
    this.#cards.set(id, card)
    return card
  }

  #label(card, { title, status }) {
    card.element.dataset.status = status
    card.title.textContent = title
    card.edit.setAttribute('aria-label', `Edit ${title}`)
    card.remove.setAttribute('aria-label', `Delete ${title}`)
    for (const [button, name] of [
      [card.advance, ADVANCE[status]],
      [card.back, BACK[status]]
    ]) {
      button.hidden = !name
      if (!name) continue
      button.textContent = name
      button.setAttribute('aria-label', `${name}: ${title}`)
    }
  }

  #place(card, { status, position }) {
    const { list } = this.#columns.get(status)
    const next = [...list.children].find(
      (other) => other !== card.element && this.#cards.get(other.dataset.id).task.position < position
    )
    this.#quietly(() => list.insertBefore(card.element, next ?? null))
  }

  #step(card, by) {
    const status = STATUSES[STATUSES.indexOf(card.task.status) + by]
    this.#onChange(card.task.id, { status })
  }

  #edit(card) {
    const { element, task } = card
    const input = document.createElement('input')
    input.className = 'title'
    input.maxLength = 200
    input.value = task.title
    input.setAttribute('aria-label', 'Title')
    card.title.replaceWith(input)
    // Otherwise selecting text with the mouse drags the card.
    element.draggable = false
    input.select()
    input.focus()

    let editing = true
    const finish = (save) => {
      if (!editing || this.#moving) return
      editing = false
      const title = input.value.trim()
      const hadFocus = document.activeElement === input
      input.replaceWith(card.title)
      element.draggable = true
      if (hadFocus) card.edit.focus()
      if (save && title && title !== task.title) this.#onChange(task.id, { title })
    }
    input.onblur = () => finish(true)
    input.onkeydown = (event) => {
      if (event.isComposing || !['Enter', 'Escape'].includes(event.key)) return
      // The focus goes on to the pencil, which the same key press would set off again.
      event.preventDefault()
      finish(event.key === 'Enter')
    }
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
      if (card && card.task.status !== status) this.#onChange(card.task.id, { status })
    }
  }

  /** A browser may report a blur when it moves or removes a focused element: that is nobody leaving an edit. */
  #quietly(work) {
    this.#moving = true
    work()
    this.#moving = false
  }

  #highlight(element) {
    element.classList.add('changed')
    // The glow of an earlier change may be about to end.
    for (const animation of element.getAnimations()) animation.currentTime = 0
  }

  #countCards() {
    for (const { list, count } of this.#columns.values()) count.textContent = list.childElementCount || ''
  }
}
