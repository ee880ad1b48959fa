// The history of peers that have none of their own.

const EVENTS = 10_000

/** The replay buffer that an app has to keep itself where the library has none: the latest events by id. */
export class History {
  #events = []
  #places = new Map()
  #removed = 0
  #limit

  /** @param {number | true} limit how many events; `true` for 10,000 */
  constructor(limit) {
    this.#limit = limit === true ? EVENTS : limit
  }

  push(id, data, topic) {
    this.#places.set(id, this.#removed + this.#events.length)
    this.#events.push({ id, data, topic })
    // One more, whose id a client may show.
    if (this.#events.length <= this.#limit + 1) return
    this.#places.delete(this.#events.shift().id)
    this.#removed++
  }

  after(id, topic) {
    const place = this.#places.get(id)
    if (place === undefined) return []
    const missed = this.#events.slice(place - this.#removed + 1)
    return topic === undefined ? missed : missed.filter((event) => event.topic === topic)
  }
}
