import { notify, notifyOf, withdrawOffers } from '../page/notice.js'
import { readChange } from '../server/change.js'
import { Outbox } from '../server/outbox.js'
import { Replica } from '../server/replica.js'
import { request } from '../server/request.js'
import { Stream } from '../server/stream.js'
import { Announcer } from './announcer.js'
import { Board } from './board.js'

/** One room: its stream, its board and its outbox, until `close`. */
export class Room {
  name
  stream
  #url
  #board
  #replica
  #outbox
  #announcer
  #onPeople
  #onRefused
  /** The id of this tab's stream. Each connection has a new one. */
  #clientId
  /** Whether the stream was lost, so that changes may have been missed. */
  #wasLost = false
  #closed = false

  /**
   * @param {object} options
   * @param {string} options.name
   * @param {string} options.user
   * @param {HTMLElement} options.element the columns
   * @param {{ card, editor, waiting }} options.templates
   * @param {HTMLElement} options.log the log for screen readers
   * @param {(state: string) => void} options.onState
   * @param {(names: string[]) => void} options.onPeople
   * @param {() => void} options.onRefused called when the server refuses this tab
   */
  constructor({ name, user, element, templates, log, onState, onPeople, onRefused }) {
    this.name = name
    this.#url = `/api/rooms/${encodeURIComponent(name)}/tasks`
    this.#onPeople = onPeople
    this.#onRefused = onRefused
    this.#announcer = new Announcer(log)
    const asks = {
      move: (id, status) => this.#move(id, status),
      save: (id, title, over) => this.#save(id, title, over),
      remove: (id) => this.#remove(id)
    }
    this.#board = new Board(element, { templates, asks })
    this.#replica = new Replica(this.#board)
    this.#outbox = new Outbox({
      list: element.querySelector('.waiting'),
      template: templates.waiting,
      key: `${user} ${name}`,
      send: (task) => this.#ask('POST', '', task)
    })
    this.stream = new Stream(`room.${name}`, {
      onState: (state) => {
        if (state !== 'live' && this.#replica.loaded) this.#wasLost = true
        onState(state)
      },
      onRefused,
      on: {
        snapshot: (snapshot) => this.#load(snapshot),
        change: (event, id) => this.#hear(event, id),
        presence: ({ people }) => onPeople(people),
        resync: ({ reason }) => this.#resync(reason)
      }
    })
    onState(this.stream.state)
    this.stream.open()
  }

  add(title) {
    return this.#outbox.add(title)
  }

  /** Leaves the room. Unsaved titles are kept for this person's next visit. */
  close() {
    this.#closed = true
    this.stream.close()
    for (const draft of this.#board.drafts) this.#outbox.offer(draft, 'You were writing this when you left.')
    this.#outbox.close()
    withdrawOffers()
  }

  /** Shows the rows, with which every connection begins. They include missed changes that follow them. */
  #load({ clientId, people, ...rows }) {
    this.#clientId = clientId
    const missed = this.#replica.load(rows)
    this.#onPeople(people)
    this.#outbox.confirm(rows.tasks.map(({ id }) => id))
    this.#outbox.flush()
    if (this.#wasLost && missed > 0) notify(`Caught up: ${missed} ${missed === 1 ? 'task has' : 'tasks have'} changed`)
    this.#wasLost = false
  }

  /** Shows a change of somebody else, or of this person in another tab. */
  #hear(event, eventId) {
    // The table itself was changed, or emptied.
    if (event.kind === 'resync') return this.stream.open()
    const change = readChange(event, eventId)
    const { row_id: id, kind, user } = change
    const before = this.#board.taskOf(id)
    const wasFocused = this.#board.isFocused(id)
    if (!this.#replica.receive(change)) return
    // A card with an edit in progress stays, and its editor says that the task was deleted.
    const isGone = kind === 'delete' && !this.#board.isFocused(id)
    if (isGone && wasFocused) this.#offerUndo(id, `${user ?? 'Somebody'} deleted “${before.title}”`)
    else this.#announcer.tell(change, before)
  }

  /** Handles the loss of events. */
  #resync(reason) {
    // `unknown` and `expired` arrive before the rows of this connection, which make up for the loss. After another reason
    // new rows are needed, and a new connection brings them.
    if (reason !== 'unknown' && reason !== 'expired') this.stream.open()
  }

  async #move(id, status) {
    await this.#ask('PATCH', `/${id}`, { status }).catch((error) => this.#fail(error))
  }

  /** Saves a title. Throws the error that the editor shows. */
  async #save(id, title, { seen, deleted, replaces }) {
    if (deleted) return this.#putBack(id, title)
    try {
      await this.#ask('PATCH', `/${id}`, { title, was: seen })
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
    try {
      await this.#ask('DELETE', `/${id}`)
      this.#offerUndo(id, `Deleted “${title}”`)
    } catch (error) {
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
      await this.#ask('POST', `/${id}/restore`, { title })
    } catch (error) {
      this.#heed(error)
      // The server no longer remembers the deleted task, so the text becomes a new one.
      if (error.status !== 404 || title === undefined) throw error
      this.add(title)
    }
  }

  /** Sends a request. Its answer is the change, which is shown at once; the stream does not bring it to this tab. */
  async #ask(method, path, body) {
    const answer = await request(method, this.#url + path, { body, clientId: this.#clientId })
    const change = readChange(answer, answer.cursor)
    const before = this.#board.taskOf(change.row_id)
    const isNews = this.#replica.receive(change)
    if (isNews && change.kind !== 'delete') this.#announcer.tell({ ...change, user: 'You' }, before)
  }

  #fail(error) {
    notifyOf(error)
    this.#heed(error)
  }

  #heed({ status }) {
    if (this.#closed) return
    if (status === 401 || status === 403) this.#onRefused()
    else if (!(status < 500)) this.#refresh()
  }

  /** Reconnects for new rows: the change may have been made although its request failed. */
  #refresh() {
    if (this.stream.state !== 'live') return
    this.stream.open()
    this.#wasLost = false
  }
}
