// The connection of a component that uses `useSse`, and its listeners, as a store for React. The hooks are in react.ts.

import { type Address, connect, type SseConnection, type SseStatus } from '../client/client.js'
import { connectOptions, type Latest } from './options.js'

// biome-ignore lint/suspicious/noExplicitAny: the types are checked where the callback is passed in
type Callback = (data: any, event?: any) => void

interface Listener {
  readonly name: string
  readonly callback: Callback
  off: (() => void) | undefined
}

interface Live {
  readonly status: SseStatus
  readonly error: unknown
  readonly connection: SseConnection | undefined
  readonly on: (name: string, callback: Callback) => () => void
}

/** The connection of a mounted component, or several one after another, as a store that React can subscribe to. */
export class LiveStore {
  /** URL, options and topics of the last render. */
  latest: Latest | undefined
  #connection: SseConnection | undefined
  #url: Address | null | undefined
  /** Of the previous connection, to continue from. */
  #lastEventId: string | undefined
  #live: Live
  readonly #initial: Live
  readonly #watchers = new Set<() => void>()
  readonly #listeners = new Set<Listener>()

  constructor(url: Address | null) {
    this.#initial = this.#liveOf(url === null ? NONE : { state: 'connecting' })
    this.#live = this.#initial
  }

  readonly current = (): Live => this.#live

  /** What the server renders, and the page before the component is mounted. */
  readonly initial = (): Live => this.#initial

  readonly subscribe = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /** Listens to this connection and those that follow. */
  readonly on = (name: string, callback: Callback): (() => void) => {
    const listener: Listener = { name, callback, off: this.#connection?.on(name as never, callback) }
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
      listener.off?.()
    }
  }

  /** Connects with the URL and options of the last render. @returns a function that closes the connection */
  open(): () => void {
    const { url } = this.latest!
    if (url === null) {
      this.#tell(NONE)
      return () => {}
    }
    const isSame = this.#url !== undefined && String(this.#url) === String(url)
    const options = connectOptions(() => this.latest!)
    const address = typeof url === 'function' ? () => (this.latest!.url as typeof url)() : url
    const connection: SseConnection = connect(address, {
      ...options,
      lastEventId: (isSame ? this.#lastEventId : undefined) ?? options.lastEventId
    })
    this.#url = url
    this.#connection = connection
    for (const listener of this.#listeners) listener.off = connection.on(listener.name as never, listener.callback)
    const off = connection.onStatus((status) => this.#tell(status))
    this.#tell(connection.status)
    return () => {
      off()
      this.#connection = undefined
      this.#lastEventId = connection.lastEventId
      connection.close()
      this.#tell({ state: 'connecting' })
    }
  }

  /** Subscribes the open connection to the topics of the last render. */
  updateTopics(): void {
    const heard = this.#connection?.topics
    const wanted = this.latest!.topics
    for (const topic of [...(heard ?? [])]) if (!wanted.includes(topic)) heard!.delete(topic)
    for (const topic of wanted) heard?.add(topic)
  }

  #tell(status: SseStatus): void {
    this.#live = this.#liveOf(status)
    for (const watcher of [...this.#watchers]) watcher()
  }

  #liveOf(status: SseStatus): Live {
    const error = 'error' in status ? status.error : undefined
    return { status, error, connection: this.#connection, on: this.on }
  }
}

const NONE: SseStatus = { state: 'closed', reason: 'closed', error: undefined }
