/**
 * The title of a task while somebody edits it. It is saved by Enter, the button, or leaving it. What is typed goes away
 * only when it is saved or its author lets it go: not when the server refuses it, nor when others change or delete the
 * task meanwhile. Then it says what happened, and leaving it saves nothing: that would overwrite others unawares.
 */
export class Editor {
  element
  #input
  #note
  #save
  #cancel
  /** The title that is saved over: the last one that the author was shown. */
  #seen
  /** What somebody else wrote while this was typed. */
  #replaces
  #deleted = false
  #busy = false
  #onSave
  #onEnd

  /**
   * @param {object} options
   * @param {string} options.title
   * @param {(title: string, over: object) => Promise<void>} options.onSave throws what is to be said. `over` is what it is
   *   saved over: `seen`, the title; `deleted`, whether the task was; `replaces`, what somebody else wrote meanwhile
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

  /** What would be lost with it, if anything. */
  get draft() {
    const text = this.#text
    return text === '' || (text === this.#seen && !this.#deleted) ? undefined : text
  }

  /** To be called once it is in the page. */
  start() {
    this.#fit()
    this.#input.focus()
    this.#input.select()
  }

  /** Somebody has changed the title. */
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

  /** Somebody has deleted the task. */
  deleted(user = 'Somebody') {
    this.#deleted = true
    this.#say(`${user} deleted this task. Your text is kept.`, { save: 'Put it back', cancel: 'Let it go' })
  }

  get #text() {
    return this.#input.value.replace(/\s+/g, ' ').trim()
  }

  #press(event) {
    if (event.isComposing || !['Enter', 'Escape'].includes(event.key)) return
    // The focus goes on to a button, which the same key press would set off.
    event.preventDefault()
    if (event.key === 'Enter') this.#finish()
    else this.#end()
  }

  #leave({ relatedTarget }) {
    if (this.element.contains(relatedTarget)) return
    // A card that moves loses the focus for a moment, and a window in the background keeps it.
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
      // What has been heard of the task meanwhile says more.
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

  /** As high as its text. */
  #fit() {
    this.#input.style.height = 'auto'
    this.#input.style.height = `${this.#input.scrollHeight + this.#input.offsetHeight - this.#input.clientHeight}px`
  }
}
