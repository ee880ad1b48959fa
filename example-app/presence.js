/** At most one announcement a room in so many ms, however many come and go at once. */
const INTERVAL = 250

/** Who is in which room, by the clients that are connected. */
export class Presence {
  #app
  #rooms = new Set()
  #timer
  #closing = false

  constructor(app) {
    this.#app = app
    app.addHook('preClose', async () => {
      this.#closing = true
      clearTimeout(this.#timer)
    })
  }

  /** Names, each once, however many tabs someone has open. */
  in(room) {
    const names = new Set()
    for (const { state } of this.#app.sse.clients) if (state.room === room) names.add(state.session.user)
    return [...names].sort((one, other) => one.localeCompare(other))
  }

  /** Tells a room soon who is in it. */
  announce(room) {
    if (this.#closing) return
    this.#rooms.add(room)
    this.#timer ??= setTimeout(() => this.#tell(), INTERVAL).unref()
  }

  #tell() {
    this.#timer = undefined
    for (const room of this.#rooms) {
      this.#app.sse.broadcast({ people: this.in(room) }, { topic: room.topic, event: 'presence' })
    }
    this.#rooms.clear()
  }
}
