// A room that is open: what its board, its stream and its requests have to do with each other.

import { readChange } from '../network/change.js'
import { Latest } from '../network/latest.js'
import { Live } from '../network/live.js'
import { Outbox } from '../network/outbox.js'
import { request } from '../network/request.js'
import { notify, notifyOf, withdrawOffers } from '../page/notice.js'
import { Announcer } from './announcer.js'
import { Board } from './board.js'

/** One room: its stream, its board and its outbox, until `close`. */
export class Room {
  name
  live
  #user
  #url
  #board
  #outbox
  #announcer
  #onPeople
  #onRefused
  /** Which changes the board shows. */
  #latest
  /** The tasks that have changed while the stream was away. */
  #missed = new Set()
  /** By task: what offers to undo a deletion that this tab has asked for, as soon as the stream or the answer tells of it. */
  #offers = new Map()
  #closed = false

  /**
   * @param {object} options
   * @param {string} options.name
   * @param {string} options.user
   * @param {HTMLElement} options.element the columns
   * @param {{ card, editor, waiting }} options.templates
   * @param {HTMLElement} options.log the log for screen readers
   * @param {(live: Live) => void} options.onState called when the connection's state has changed
   * @param {(names: string[]) => void} options.onPeople
   * @param {() => void} options.onRefused called when the server refuses this tab
   */
  constructor({ name, user, element, templates, log, onState, onPeople, onRefused }) {
    this.name = name
    this.#user = user
    this.#url = `/api/rooms/${encodeURIComponent(name)}`
    this.#onPeople = onPeople
    this.#onRefused = onRefused
    this.#announcer = new Announcer(log, user)
    const asks = {
      move: (id, status) => this.#move(id, status),
      save: (id, title, over) => this.#save(id, title, over),
      remove: (id) => this.#remove(id)
    }
    this.#board = new Board(element, { templates, asks })
    this.#outbox = new Outbox({
      list: element.querySelector('.waiting'),
      template: templates.waiting,
      key: `${user} ${name}`,
      send: (task) => this.#ask('POST', '/tasks', task)
    })
    this.live = new Live(`room.${name}`, {
      user,
      load: (context) => this.#load(context),
      // Events that the loaded rows include, and changes that the answers to this tab's requests have told of.
      isStale: ({ id, data }, latest) => id !== undefined && latest.has({ row_id: data.row_id, cursor: id }),
      on: {
        change: (told, { id }) => this.#hear(told, id),
        presence: ({ people }) => onPeople(people)
      },
      onState: (live) => {
        if (live.state === 'live') this.#catchUp()
        onState(live)
      },
      onEnd: onRefused
    })
    onState(this.live)
  }

  add(title) {
    return this.#outbox.add(title)
  }

  /** Leaves the room. Unsaved titles are kept for this person's next visit. */
  close() {
    this.#closed = true
    this.live.close()
    for (const draft of this.#board.drafts) this.#outbox.offer(draft, 'You were writing this when you left.')
    this.#outbox.close()
    withdrawOffers()
  }

  /** Loads the rows: at first, and when events have been missed. */
  async #load({ signal }) {
    const { people, cursor, tasks } = await request('GET', this.#url, { signal }).catch((error) => {
      // It will be tried again. Where the browser has no connections left, only the person can help.
      if (error.code === 'NO_ANSWER') notifyOf(error)
      throw error
    })
    const isFirst = this.#latest === undefined
    this.#latest = new Latest(cursor)
    const changed = this.#board.reset(tasks)
    if (!isFirst) for (const id of changed) this.#missed.add(id)
    this.#onPeople(people)
    this.#outbox.confirm(tasks.map(({ id }) => id))
    return this.#latest
  }

  /** Says what has changed while the stream was away, and sends what waits. */
  #catchUp() {
    const { size } = this.#missed
    if (size > 0) notify(`Caught up: ${size} ${size === 1 ? 'task has' : 'tasks have'} changed`)
    this.#missed.clear()
    this.#outbox.flush()
  }

  /** Shows a change that the stream tells of, of somebody else or of this person. */
  #hear(told, eventId) {
    // The table itself was changed, or emptied.
    if (told.kind === 'resync') return this.live.open()
    const change = readChange(told, eventId)
    const { row_id: id, kind, user = 'Somebody' } = change
    const before = this.#board.taskOf(id)
    const wasFocused = this.#board.isFocused(id)
    this.#show(change)
    this.#outbox.confirm([id])
    if (this.live.state !== 'live') this.#missed.add(id)
    if (kind === 'delete' && this.#offers.has(id)) return this.#offers.get(id)()
    // A card with an edit in progress stays, and its editor says that the task was deleted.
    const isGone = kind === 'delete' && before && !this.#board.isFocused(id)
    if (isGone && wasFocused && user !== this.#user) this.#offerUndo(id, `${user} deleted “${before.title}”`)
    else this.#announcer.tell(change, before)
  }

  #show(change) {
    this.#latest.add(change)
    if (change.kind === 'delete') this.#board.remove(change.row_id, change)
    else this.#board.put(change.data)
  }

  async #move(id, status) {
    await this.#ask('PATCH', `/tasks/${id}`, { status }).catch((error) => this.#fail(error))
  }

  /** Saves a title. Throws the error that the editor shows. */
  async #save(id, title, { seen, deleted, replaces }) {
    if (deleted) return this.#putBack(id, title)
    try {
      await this.#ask('PATCH', `/tasks/${id}`, { title, was: seen })
    } catch (error) {
      this.#heed(error)
      throw error
    }
    if (!replaces) return
    const undo = () => this.#save(id, replaces.title, { seen: title }).catch(notifyOf)
    notify(`You have replaced “${replaces.title}”, which ${replaces.author} wrote`, {
      action: { label: 'Undo', run: undo }
    })
  }

  async #remove(id) {
    const { title } = this.#board.taskOf(id)
    const offer = () => {
      if (this.#offers.delete(id)) this.#offerUndo(id, `Deleted “${title}”`)
    }
    this.#offers.set(id, offer)
    try {
      await this.#ask('DELETE', `/tasks/${id}`)
      offer()
    } catch (error) {
      this.#offers.delete(id)
      this.#fail(error)
    }
  }

  #offerUndo(id, text) {
    const undo = async () => {
      try {
        await this.#putBack(id)
        this.#board.focus(id)
      } catch (error) {
        notifyOf(error)
      }
    }
    notify(text, { action: { label: 'Undo', run: undo } })
  }

  async #putBack(id, title) {
    try {
      await this.#ask('POST', `/tasks/${id}/restore`, { title })
    } catch (error) {
      this.#heed(error)
      // The server no longer remembers the deleted task, so the text becomes a new one.
      if (error.status !== 404 || title === undefined) throw error
      this.add(title)
    }
  }

  /** Sends a request. Its answer is the change, which is shown at once: the stream may bring it later, or has done so. */
  async #ask(method, path, body) {
    const answer = await request(method, this.#url + path, { body })
    const change = readChange(answer, answer.cursor)
    // Before the rows are there, they or the stream will tell.
    if (!this.#latest || this.#latest.has(change)) return
    const before = this.#board.taskOf(change.row_id)
    this.#show(change)
    if (change.kind !== 'delete') this.#announcer.tell(change, before)
  }

  #fail(error) {
    notifyOf(error)
    this.#heed(error)
  }

  #heed({ status }) {
    if (!this.#closed && (status === 401 || status === 403)) this.#onRefused()
  }
}
