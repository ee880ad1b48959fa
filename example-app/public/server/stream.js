import { Backoff } from './backoff.js'

/**
 * An EventSource that does not give up. A browser reconnects by itself after a cut, and resumes from the last event; but
 * after an answer such as 429 or 503 it never tries again, so this class does. EventSource does not tell the status of an
 * answer: `onRefused` is called for the app to ask the server whether waiting makes sense.
 */
export class Stream {
  state = 'connecting'
  #url
  #handlers
  #onState
  #onRefused
  #source
  #lastEventId = ''
  #retry = new Backoff()

  constructor(topic, { on, onState, onRefused }) {
    this.#url = `/events?topic=${encodeURIComponent(topic)}`
    this.#handlers = Object.entries(on)
    this.#onState = onState
    this.#onRefused = onRefused
  }

  /** Connects, and closes an earlier connection first. */
  open() {
    this.close()
    if (this.state === 'live') this.#become('reconnecting')
    // A new EventSource does not know the last event id, and cannot set headers, so the URL carries it.
    const from = this.#lastEventId && `&lastEventId=${encodeURIComponent(this.#lastEventId)}`
    const source = new EventSource(this.#url + from)
    source.onopen = () => {
      this.#retry.reset()
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
        handler(JSON.parse(event.data), event.lastEventId)
      })
    }
    this.#source = source
  }

  close() {
    this.#retry.cancel()
    this.#source?.close()
  }

  /** Like `open`, but after a delay that grows with every failure. */
  openLater() {
    this.close()
    this.#become('reconnecting')
    this.#retry.schedule(() => this.open())
  }

  #become(state) {
    if (state === this.state) return
    this.state = state
    this.#onState(state)
  }
}
