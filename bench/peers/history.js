const EVENTS = 10_000

/** The replay buffer that an app has to keep itself where the library has none: the latest 10,000 events by id. */
export class History {
  #events = []
  #places = new Map()
  #removed = 0

  push(id, data) {
    this.#places.set(id, this.#removed + this.#events.length)
    this.#events.push({ id, data })
    if (this.#events.length <= EVENTS) return
    this.#places.delete(this.#events.shift().id)
    this.#removed++
  }

  after(id) {
    const place = this.#places.get(id)
    return place === undefined ? [] : this.#events.slice(place - this.#removed + 1)
  }
}
