/**
 * The editor of a task's title. Enter, the button and leaving the field save it. The text is kept until it is saved or
 * discarded, even if the server refuses it or others change or delete the task meanwhile. In that case a note says what
 * happened, and leaving the field does not save, since that would overwrite the others' text without notice.
 */
export class Editor {
  element
  #input
  #note
  #save
  #cancel
  /** The title that the author has seen last, which saving replaces. */
  #seen
  /** The title that somebody else wrote during the edit. */
  #replaces
  #deleted = false
  #busy = false
  #onSave
  #onEnd

  /**
   * @param {object} options
   * @param {string} options.title
   * @param {(title: string, over: object) => Promise<void>} options.onSave throws an error to be shown. `over` is what
   *   saving replaces: `seen`, the title; `deleted`, whether the task is deleted; `replaces`, somebody else's new title
   * @param {(hadFocus: boolean) => void} options.onEnd
   */
  constructor(template, { title, onSave, onEnd }) {
    this.element = template.content.firstElementChild.cloneNode(true)
    this.#input = this.element.querySelector('textarea')
    this.#note = this.element.querySelector('.note')
    this.#save = this.element.querySelector('.save')
    this.#cancel = this.element.querySelector('.cancel')
    this.#seen = title
    this.#input.value = title
    this.#onSave = onSave
    this.#onEnd = onEnd
    this.#input.oninput = () => this.#fit()
    this.#input.onkeydown = (event) => this.#press(event)
    this.#save.onclick = () => this.#finish()
    this.#cancel.onclick = () => this.#end()
    this.element.addEventListener('focusout', (event) => this.#leave(event))
  }

  /** The unsaved text, if any. */
  get draft() {
    const text = this.#text
    return text === '' || (text === this.#seen && !this.#deleted) ? undefined : text
  }

  /** Focuses the field. Call it once the element is in the page. */
  start() {
    this.#fit()
    this.#input.focus()
    this.#input.select()
  }

  /** Called when somebody has changed the title. */
  changed(title, author = 'Somebody') {
    const untouched = this.#text === this.#seen
    const wasDeleted = this.#deleted
    this.#deleted = false
    const isNews = title !== this.#seen && !(this.#busy && title === this.#text)
    this.#seen = title
    if (!isNews) {
      if (wasDeleted && !this.#busy) this.#say('The task is back. What you have typed is not saved yet.')
      return
    }
    this.#replaces = undefined
    if (untouched) {
      this.#input.value = title
      this.#input.select()
      this.#fit()
      this.#say(`${author} has just changed this title.`)
    } else if (title === this.#text) this.#say(`${author} wrote the same.`)
    else {
      this.#replaces = { title, author }
      this.#say(`${author} wrote “${title}” meanwhile.`, { save: 'Replace it', cancel: 'Keep theirs' })
    }
  }

  /** Called when somebody has deleted the task. */
  deleted(user = 'Somebody') {
    this.#deleted = true
    this.#say(`${user} deleted this task. Your text is kept.`, { save: 'Put it back', cancel: 'Let it go' })
  }

  get #text() {
    return this.#input.value.replace(/\s+/g, ' ').trim()
  }

  #press(event) {
    if (event.isComposing || !['Enter', 'Escape'].includes(event.key)) return
    // Ending the edit focuses a button, which the same key press would activate.
    event.preventDefault()
    if (event.key === 'Enter') this.#finish()
    else this.#end()
  }

  #leave({ relatedTarget }) {
    if (this.element.contains(relatedTarget)) return
    // A card that is moved loses the focus for a moment, so the focus is checked afterwards.
    setTimeout(() => {
      const hasLeft = this.element.isConnected && !this.element.contains(document.activeElement)
      if (hasLeft && (this.#note.textContent === '' || !this.draft)) this.#finish()
    })
  }

  async #finish() {
    if (this.#busy) return
    const { draft } = this
    if (!draft) return this.#end()
    const noted = this.#note.textContent
    this.#busy = this.#input.readOnly = true
    try {
      await this.#onSave(draft, { seen: this.#seen, deleted: this.#deleted, replaces: this.#replaces })
      this.#end()
    } catch (error) {
      // A newer note about the task is more important.
      if (this.#note.textContent === noted) this.#note.textContent = error.message
    } finally {
      this.#busy = this.#input.readOnly = false
    }
  }

  #end() {
    if (this.element.isConnected) this.#onEnd(this.element.contains(document.activeElement))
  }

  #say(text, { save = 'Save', cancel = 'Cancel' } = {}) {
    this.#note.textContent = text
    this.#save.textContent = save
    this.#cancel.textContent = cancel
  }

  /** Makes the field as high as its text. */
  #fit() {
    this.#input.style.height = 'auto'
    this.#input.style.height = `${this.#input.scrollHeight + this.#input.offsetHeight - this.#input.clientHeight}px`
  }
}
