import { Board } from './board.js'
import { notify, notifyOf } from './notice.js'
import { Replica } from './replica.js'
import { request } from './request.js'
import { Stream } from './stream.js'

/** One room as this tab follows it, until `close`. */
export class Room {
  name
  stream
  #url
  #replica
  #onPeople
  #onRefused
  /** This tab's stream, as the server knows it: another one after each reconnection. */
  #clientId
  /** What the board had seen when it lost the stream. */
  #seqWhenLost
  #closed = false

  /**
   * @param options.board the element of the columns
   * @param options.card the template of a card
   * @param options.onRefused called when the server does not let this tab in, or no longer
   */
  constructor(name, { board, card, onState, onPeople, onRefused }) {
    this.name = name
    this.#url = `/api/rooms/${name}/tasks`
    this.#onPeople = onPeople
    this.#onRefused = onRefused
    this.#replica = new Replica(
      new Board(board, {
        template: card,
        onChange: (id, changes) => this.#change('PATCH', `/${id}`, changes),
        onDelete: (id) => this.#change('DELETE', `/${id}`)
      })
    )
    this.stream = new Stream(`room.${name}`, {
      onState: (state) => {
        if (state !== 'live' && this.#replica.loaded) this.#seqWhenLost ??= this.#replica.seq
        onState(state)
      },
      onRefused,
      on: {
        snapshot: (snapshot) => this.#load(snapshot),
        change: (change) => this.#replica.receive(change),
        presence: ({ people }) => onPeople(people),
        resync: ({ reason }) => this.#resync(reason)
      }
    })
    onState(this.stream.state)
    this.stream.open()
  }

  /** Resolves to whether the task was added. */
  add(title) {
    return this.#change('POST', '', { title })
  }

  close() {
    this.#closed = true
    this.stream.close()
  }

  /** Every connection begins with the rows. Missed changes that follow them are no news then. */
  #load({ clientId, people, ...rows }) {
    this.#clientId = clientId
    this.#replica.load(rows)
    this.#onPeople(people)
    const missed = rows.seq - this.#seqWhenLost
    if (missed > 0) notify(`Caught up on ${missed} ${missed === 1 ? 'change' : 'changes'}`)
    this.#seqWhenLost = undefined
  }

  /** Events are lost for good. */
  #resync(reason) {
    // Said of a place in the log to go on from, it comes before the rows of this connection. Else new ones are needed.
    if (reason !== 'unknown' && reason !== 'expired') this.stream.open()
  }

  /** It may have been made all the same, which only new rows can tell. They come with a connection. */
  #refresh() {
    if (this.#closed || this.stream.state !== 'live') return
    this.stream.open()
    this.#seqWhenLost = undefined
  }

  /** The answer is the change itself, shown at once. To this tab, and to no other, the stream does not tell of it. */
  async #change(method, path, body) {
    try {
      this.#replica.receive(await request(method, this.#url + path, { body, clientId: this.#clientId }))
      return true
    } catch (error) {
      notifyOf(error)
      if (error.status === 401 || error.status === 403) this.#onRefused()
      else if (!(error.status < 500)) this.#refresh()
      return false
    }
  }
}
