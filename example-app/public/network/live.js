// The stream of events as the page uses it.

import { connect } from '/client.js'

/** Longest time between two attempts to connect, ms. People watch this page, and there are few of them. */
const LONGEST_DELAY = 5000
/** How long a tab counts as catching up without hearing the end of it, ms: one that joins another's connection meanwhile does not. */
const LONGEST = 1000

/**
 * The stream of a view, by the client of pylon-sse, and how it does. The tabs of a browser that show the same have one connection
 * in common: the topic is a part of the URL, so that a tab in another room has another connection, and the server knows by it
 * who is where.
 */
export class Live {
  /** `connecting`, `catching-up`, `live` or `reconnecting`. */
  state = 'connecting'
  /** `leader` in the tab that keeps the connection, `follower` in the others; undefined in a browser that cannot share it. */
  role
  #url
  #options
  #on
  #onState
  #onEnd
  #connection
  #hasLoaded = false
  /** Whether it was away, and has not had all that happened meanwhile. */
  #isBehind = false
  #timer

  /**
   * @param {string} topic
   * @param {object} options
   * @param {string} options.user tabs of another user have another connection
   * @param {(context: { signal: AbortSignal }) => Promise<unknown>} options.load as in `connect`
   * @param {(event: object, loaded: unknown) => boolean} [options.isStale] as in `connect`
   * @param {Record<string, (data: object, event: object) => void>} options.on what handles the events, by their names
   * @param {(live: Live) => void} options.onState called when `state` or `role` has changed
   * @param {() => void} options.onEnd called when the server refuses this tab, which stays disconnected until `open`
   */
  constructor(topic, { user, load, isStale, on, onState, onEnd }) {
    this.#url = `/events?topic=${encodeURIComponent(topic)}`
    this.#options = {
      shared: true,
      sharedKey: user,
      maxRetryDelay: LONGEST_DELAY,
      isStale,
      load: (context) => this.#load(load, context)
    }
    this.#on = on
    this.#onState = onState
    this.#onEnd = onEnd
    this.open()
  }

  /** Whether it has ended by the server's wish. */
  get hasEnded() {
    return this.#connection?.status.state === 'closed'
  }

  /** Connects, and loads, in place of an earlier connection. */
  open() {
    this.close()
    this.#hasLoaded = this.#isBehind = false
    const connection = connect(this.#url, this.#options)
    this.#connection = connection
    for (const [name, handle] of Object.entries(this.#on)) connection.on(name, handle)
    connection.on('caught-up', () => this.#catchUp())
    // The page shows that it reconnects. Why is for those who look into the console.
    connection.on('error', (error) => console.warn(error))
    connection.onStatus((status) => {
      if (connection === this.#connection) this.#follow(status)
    })
    this.#follow(connection.status)
  }

  close() {
    clearTimeout(this.#timer)
    const connection = this.#connection
    this.#connection = undefined
    connection?.close()
  }

  async #load(load, context) {
    try {
      const loaded = await load(context)
      this.#hasLoaded = true
      this.#isBehind = false
      return loaded
    } catch (error) {
      // Trying again, as the client does after other errors, would not help.
      if ([401, 403].includes(error.status)) this.#onEnd()
      throw error
    }
  }

  #catchUp() {
    clearTimeout(this.#timer)
    this.#isBehind = false
    this.#follow(this.#connection.status)
  }

  #follow(status) {
    if (status.state === 'closed') return this.#onEnd()
    const isOpen = status.state === 'open'
    if (!isOpen) this.#isBehind = this.#hasLoaded
    else if (this.#isBehind && this.state === 'reconnecting') {
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.#catchUp(), LONGEST)
    }
    const isUpToDate = this.#hasLoaded && !status.loading && !this.#isBehind
    if (isOpen) this.#become(isUpToDate ? 'live' : 'catching-up', status.role)
    else this.#become(this.#hasLoaded ? 'reconnecting' : 'connecting')
  }

  #become(state, role) {
    if (state === this.state && role === this.role) return
    this.state = state
    this.role = role
    this.#onState(this)
  }
}
