import type { CursorStorage } from './environment.js'
import type { AnyEvent, DataSchema, DeclaredEvents, Resync, WithOwnEvents } from './event.js'

type Value<T> = T | (() => T | Promise<T>)
// biome-ignore lint/suspicious/noConfusingVoidType: what returns nothing is right, too
type Fresh = HeaderFields | false | undefined | void
export type HeaderFields = Headers | Record<string, string> | [string, string][]

/** What `load` is told. */
export interface LoadContext {
  /** Aborts when the connection is closed. */
  readonly signal: AbortSignal
  /** `'connect'` at first; later why the state is out of date. */
  readonly reason: 'connect' | Resync['reason']
}

/** How `topics` have changed, for `changeTopics`. */
export interface TopicChange {
  /** The client's id on the server. */
  readonly clientId: string
  /** Topics that the client does not hear yet. */
  readonly add: readonly string[]
  /** Topics that it still hears. */
  readonly remove: readonly string[]
  /** Aborts when the connection has ended: the next one asks for all topics. */
  readonly signal: AbortSignal
}

/** How the connection itself is made. */
export interface ConnectionOptions {
  /**
   * Topics and patterns to hear, beside the events without a topic: `?topic=`. Default: none. They can be
   * changed later: see `topics` of the connection.
   */
  topics?: Iterable<string> | undefined
  /**
   * Asks the server to change the topics of the open connection, and resolves when it has: by a POST, say, as docs/client.md shows.
   * Events of the new topics come from then on. If it throws, that is told as an `error`, and the client connects anew. Several
   * changes in a row are one call; two never overlap. Default: the client connects anew from where it is.
   */
  changeTopics?: ((change: TopicChange) => unknown) | undefined
  /** Headers of each request, or a function that gives them, called for each request: a fresh token, say. Default: none. */
  headers?: Value<HeaderFields> | undefined
  /** Whether cookies are sent, as `fetch` takes it. Default: `'same-origin'`. */
  credentials?: 'omit' | 'same-origin' | 'include' | undefined
  /** Another `fetch`. Default: the global one. */
  fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined
  /**
   * Called on 401 and 403, to get a fresh token. The client then connects again at once; the headers that this returns, if any, are
   * sent from then on beside `headers`. With `false`, or if the next answer is 401 or 403 again, the connection is closed. If it
   * throws, the client tries again later. Default: closed at once.
   */
  onUnauthorized?: ((context: { response: Response; signal: AbortSignal }) => Fresh | Promise<Fresh>) | undefined
  /** The least that it waits before it tries again, ms, until the server names another time (`retry`). Default: 1,000. */
  retryDelay?: number | undefined
  /** The most that it waits before it tries again, ms, unless the server asks for more. Default: 30,000. */
  maxRetryDelay?: number | undefined
  /** How long the first byte of an answer may take, ms, before the stream counts as held back. Default: 10,000. */
  openTimeout?: number | undefined
  /** Whether the connection is given up while the tab is hidden, and resumed after. Default: false. */
  pauseWhenHidden?: boolean | undefined
  /** Where to begin: after the event of this id; `'0'` with the oldest held. Default: with what comes from now on. */
  lastEventId?: string | undefined
}

/** Options of `connect`. */
export interface SseOptions<Events extends object = DeclaredEvents, Loaded = unknown> extends ConnectionOptions {
  /**
   * Loads the state and shows it: at the first connect, and whenever events have been missed (`resync`). Events that come
   * meanwhile wait, and follow in order. If it fails, it is called again, later and later; two calls never overlap.
   */
  load?: ((context: LoadContext) => Loaded | Promise<Loaded>) | undefined
  /**
   * Whether an event is older than what `load` has returned, and is left out. Default: none is, so that an event may tell of what
   * has been loaded already.
   */
  isStale?: ((event: AnyEvent<Events>, loaded: Loaded) => boolean) | undefined
  /**
   * What checks the data of an event, by its name: any Standard Schema. The event's data are what it gives. Data that it
   * refuses are told as an `error`, and the event is left out. Default: nothing is checked.
   */
  schemas?: { readonly [Name in keyof Events & string]?: DataSchema<Events[Name]> } | undefined
  /**
   * Whether the tabs of this origin have one connection in common, by Web Locks and BroadcastChannel. Without them, as on a page
   * that has not come by HTTPS, each tab has its own. Topics, `load` and callbacks are each tab's own. Default: false.
   */
  shared?: boolean | undefined
  /** What tabs must have in common beside the URL to share a connection: the user, say. Default: nothing. */
  sharedKey?: string | undefined
  /** Closes the connection when it aborts. */
  signal?: AbortSignal | undefined
  /**
   * Where the last event id is kept, so that the page resumes after a reload: `true` for `sessionStorage`, or an object like it. If
   * there is none, or it throws, the page begins anew. With `load` the state is loaded all the same. Default: false.
   */
  storage?: boolean | CursorStorage | undefined
  /**
   * Events that wait for `load`, and for each `for await`. Past it the stream is not read on while `load` runs, so that the
   * server's own limits apply; a `for await` that is too slow loses its oldest events, and gets a `resync` in their place.
   * Default: 1,024.
   */
  maxBuffered?: number | undefined
}

/** What an app listens to: the names of events, `'message'` for those without one, `'resync'`. */
export type EventNames<Events> = keyof WithOwnEvents<Events> & string
