import { Announcer } from './announcer.js'
import { Board } from './board.js'
import { notify, notifyOf, withdrawOffers } from './notice.js'
import { Outbox } from './outbox.js'
import { Replica } from './replica.js'
import { request } from './request.js'
import { Stream } from './stream.js'

/** One room as this tab follows it, until `close`. */
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
  /** This tab's stream, as the server knows it: another one after each reconnection. */
  #clientId
  /** What the board had seen when it lost the stream. */
  #seqWhenLost
  #closed = false

  /**
   * @param {object} options
   * @param {string} options.name
   * @param {string} options.user
   * @param {HTMLElement} options.element of the columns
   * @param {{ card, editor, waiting }} options.templates
   * @param {HTMLElement} options.log where others' changes are told
   * @param {(state: string) => void} options.onState
   * @param {(names: string[]) => void} options.onPeople
   * @param {() => void} options.onRefused called when the server does not let this tab in, or no longer
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
        if (state !== 'live' && this.#replica.loaded) this.#seqWhenLost ??= this.#replica.seq
        onState(state)
      },
      onRefused,
      on: {
        snapshot: (snapshot) => this.#load(snapshot),
        change: (change) => this.#hear(change),
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

  /** What is being typed into a title is kept for the next time that this person is here. */
  close() {
    this.#closed = true
    this.stream.close()
    for (const draft of this.#board.drafts) this.#outbox.offer(draft, 'You were writing this when you left.')
    this.#outbox.close()
    withdrawOffers()
  }

  /** Every connection begins with the rows. Missed changes that follow them are no news then. */
  #load({ clientId, people, ...rows }) {
    this.#clientId = clientId
    this.#replica.load(rows)
    this.#onPeople(people)
    this.#outbox.confirm(rows.tasks.map(({ id }) => id))
    this.#outbox.flush()
    const missed = rows.seq - this.#seqWhenLost
    if (missed > 0) notify(`Caught up on ${missed} ${missed === 1 ? 'change' : 'changes'}`)
    this.#seqWhenLost = undefined
  }

  /** Somebody else has changed something, or this person in another tab. */
  #hear(change) {
    const { row_id: id, kind, user } = change
    const before = this.#board.taskOf(id)
    const wasFocused = this.#board.isFocused(id)
    if (!this.#replica.receive(change)) return
    // A card that is being edited is still here, and offers that itself.
    const isGone = kind === 'delete' && !this.#board.isFocused(id)
    if (isGone && wasFocused) this.#offerUndo(id, `${user} deleted “${before.title}”`)
    else this.#announcer.tell(change, before)
  }

  /** Events are lost for good. */
  #resync(reason) {
    // Said of a place in the log to go on from, it comes before the rows of this connection. Else new ones are needed.
    if (reason !== 'unknown' && reason !== 'expired') this.stream.open()
  }

  async #move(id, status) {
    await this.#ask('PATCH', `/${id}`, { status }).catch((error) => this.#fail(error))
  }

  /** Throws where the editor is to say why it is not saved. */
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
      // It was deleted so long ago that the server has forgotten it.
      if (error.status !== 404 || title === undefined) throw error
      this.add(title)
    }
  }

  /** The answer is the change itself, shown at once. To this tab, and to no other, the stream does not tell of it. */
  async #ask(method, path, body) {
    const change = await request(method, this.#url + path, { body, clientId: this.#clientId })
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

  /** The change may have been made all the same, which only new rows can tell. They come with a connection. */
  #refresh() {
    if (this.stream.state !== 'live') return
    this.stream.open()
    this.#seqWhenLost = undefined
  }
}
