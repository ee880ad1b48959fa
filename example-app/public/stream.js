const FIRST_DELAY = 1000
const LONGEST_DELAY = 30_000

/**
 * An EventSource that does not give up. A browser takes up a cut stream by itself, from the last event it saw; but after
 * an answer such as 429 or 503 it never tries again, so this does. EventSource keeps the status of an answer to itself:
 * `onRefused` is where to ask whether there is still something to wait for.
 */
export class Stream {
  state = 'connecting'
  #url
  #handlers
  #onState
  #onRefused
  #source
  #lastEventId = ''
  #failures = 0
  #timer

  constructor(topic, { on, onState, onRefused }) {
    this.#url = `/events?topic=${encodeURIComponent(topic)}`
    this.#handlers = Object.entries(on)
    this.#onState = onState
    this.#onRefused = onRefused
  }

  /** Connects, in place of the connection there may be. */
  open() {
    this.close()
    if (this.state === 'live') this.#become('reconnecting')
    // A new EventSource knows nothing of the old one, and cannot set headers: the URL says where to go on.
    const from = this.#lastEventId && `&lastEventId=${encodeURIComponent(this.#lastEventId)}`
    const source = new EventSource(this.#url + from)
    source.onopen = () => {
      this.#failures = 0
      this.#become('live')
    }
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) {
        this.#become('reconnecting')
        return
      }
      this.openLater()
      this.#onRefused()
    }
    for (const [name, handler] of this.#handlers) {
      source.addEventListener(name, (event) => {
        if (event.lastEventId) this.#lastEventId = event.lastEventId
        handler(JSON.parse(event.data))
      })
    }
    this.#source = source
  }

  close() {
    clearTimeout(this.#timer)
    this.#source?.close()
  }

  /** Like `open`, but after a while that grows with every failure. */
  openLater() {
    this.close()
    this.#become('reconnecting')
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures)
    this.#failures += 1
    // Jitter: when a server comes back, its clients should not all knock in the same instant.
    this.#timer = setTimeout(() => this.open(), longest * (0.5 + Math.random() / 2))
  }

  #become(state) {
    if (state === this.state) return
    this.state = state
    this.#onState(state)
  }
}
