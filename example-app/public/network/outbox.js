// What has been typed and is not saved yet.

import { Backoff } from './backoff.js'

/**
 * New tasks that the server has not confirmed yet. They are sent in order, and again until there is an answer; each has its
 * id from the start, so that the server creates it once. A task that the server refuses stays until its author tries again
 * or discards it. All are stored for this tab, and outlive a reload and a logout.
 */
export class Outbox {
  #list
  #template
  #key
  #send
  #items = new Map()
  #sending = false
  #closed = false
  #retry = new Backoff()

  /**
   * @param {object} options
   * @param {HTMLElement} options.list the list on the page
   * @param {string} options.key names the store, so that people and rooms in one tab have their own
   * @param {(task: { id: string, title: string }) => Promise<void>} options.send throws an error, with the `status` of
   *   the answer if there was one
   */
  constructor({ list, template, key, send }) {
    this.#list = list
    this.#template = template
    this.#key = `outbox ${key}`
    this.#send = send
    for (const item of JSON.parse(sessionStorage.getItem(this.#key) ?? '[]')) this.#show(item)
  }

  add(title) {
    this.#show({ id: createId(), title, note: 'Sending …' })
    this.#store()
    return this.flush()
  }

  /** Keeps a text, and sends it only when its author presses the button. */
  offer(title, note) {
    this.#show({ id: createId(), title, note, held: true })
    this.#store()
  }

  /** Drops tasks that the server has: the answer to them may have been lost, or comes later. */
  confirm(ids) {
    for (const id of ids) this.#forget(id)
  }

  /** Sends the waiting tasks now. */
  async flush() {
    this.#retry.cancel()
    if (this.#sending || this.#closed) return
    this.#sending = true
    for (const item of this.#items.values()) {
      if (item.held) continue
      if (!(await this.#try(item))) break
    }
    this.#sending = false
  }

  close() {
    this.#closed = true
    this.#retry.cancel()
  }

  /** Sends one task. Resolves with whether to go on with the next one. */
  async #try(item) {
    try {
      await this.#send({ id: item.id, title: item.title })
    } catch (error) {
      item.held = error.status >= 400 && error.status < 500 && ![401, 403, 408, 429].includes(error.status)
      this.#note(item, item.held ? error.message : 'Not sent yet: it will be when the server can be reached.')
      if (!item.held) this.#retry.schedule(() => this.flush())
      return item.held
    }
    this.#retry.reset()
    this.#forget(item.id)
    return true
  }

  #show(item) {
    const element = this.#template.content.firstElementChild.cloneNode(true)
    this.#items.set(item.id, item)
    item.element = element
    element.querySelector('.title').textContent = item.title
    element.querySelector('.send').onclick = () => {
      item.held = false
      this.flush()
    }
    element.querySelector('.discard').onclick = () => this.#forget(item.id)
    this.#note(item, item.note)
    this.#list.prepend(element)
  }

  #note(item, note) {
    item.note = note
    item.element.querySelector('.note').textContent = note
    item.element.classList.toggle('held', Boolean(item.held))
    this.#store()
  }

  #forget(id) {
    const item = this.#items.get(id)
    if (!item) return
    const hadFocus = item.element.contains(document.activeElement)
    this.#items.delete(id)
    item.element.remove()
    if (hadFocus) this.#list.closest('section').querySelector('h2').focus()
    this.#store()
  }

  #store() {
    const items = [...this.#items.values()].map(({ id, title, note, held }) => ({ id, title, note, held }))
    if (items.length > 0) sessionStorage.setItem(this.#key, JSON.stringify(items))
    else sessionStorage.removeItem(this.#key)
  }
}

/** A random UUID. Browsers have `crypto.randomUUID` only over HTTPS and on localhost. */
function createId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[6] = (bytes[6] & 0x0f) | 0x40
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
