// The options of `connect`. Their check is in option-checks.ts.

import type { CursorStorage } from './environment.js'
import type { AnyEvent, DataSchema, DeclaredEvents, Resync, WithOwnEvents } from './event.js'

type Value<T> = T | (() => T | Promise<T>)
// biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing is valid, too
type Fresh = HeaderFields | false | undefined | void
/** Headers, as `fetch` takes them. */
export type HeaderFields = Headers | Record<string, string> | [string, string][]

/** The argument of `load`. */
export interface LoadContext {
  /** Aborts when the connection is closed. */
  readonly signal: AbortSignal
  /** `'connect'` for the first call; later the reason of the `resync`. */
  readonly reason: 'connect' | Resync['reason']
}

/** The argument of `changeTopics`. */
export interface TopicChange {
  /** The id of the client on the server. */
  readonly clientId: string
  /** Topics to subscribe the client to. */
  readonly add: readonly string[]
  /** Topics to unsubscribe it from. */
  readonly remove: readonly string[]
  /** Aborts when the connection has ended. The next one requests all topics anyway. */
  readonly signal: AbortSignal
}

/** Options of the connection to the server. */
export interface ConnectionOptions {
  /**
   * Topics and patterns to subscribe to, sent as `?topic=`. Events without a topic come in any case. Change them later through
   * `topics` of the connection. Default: none.
   */
  topics?: Iterable<string> | undefined
  /**
   * Asks the server to change the topics of the open connection, for example by a POST as in docs/client.md, and resolves when the
   * server has done so. Changes of the same turn are one call, and two calls never overlap. If it throws, the error goes to the
   * listeners of `'error'`, and the client reconnects. Default: the client reconnects, and resumes after its last event.
   */
  changeTopics?: ((change: TopicChange) => unknown) | undefined
  /** Headers of each request; or a function that returns them, called for each request, for example with a fresh token. Default: none. */
  headers?: Value<HeaderFields> | undefined
  /** Whether cookies are sent: `credentials` of `fetch`. Default: `'same-origin'`. */
  credentials?: 'omit' | 'same-origin' | 'include' | undefined
  /** A function to use as `fetch`. Default: the global one. */
  fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined
  /**
   * Called after a 401 or 403, to get a fresh token. Then the client connects again at once. Headers that this returns are sent from
   * then on, and override `headers`. If it returns `false`, or the next answer is 401 or 403 again, the connection is closed. If it
   * throws, the client tries again after a pause. Default: the connection is closed at once.
   */
  onUnauthorized?: ((context: { response: Response; signal: AbortSignal }) => Fresh | Promise<Fresh>) | undefined
  /** The shortest pause before another attempt, ms. The field `retry` of the server replaces it. Default: 1,000. */
  retryDelay?: number | undefined
  /** The longest pause before another attempt, ms, unless the server asks for more (`retry`, `Retry-After`). Default: 30,000. */
  maxRetryDelay?: number | undefined
  /**
   * How long the first byte of an answer may take, ms. Past it, something on the way holds the stream back, and the client requests JSON pages
   * instead. Default: 10,000.
   */
  openTimeout?: number | undefined
  /** Whether the client disconnects while the tab is hidden, and resumes when it is shown. Default: false. */
  pauseWhenHidden?: boolean | undefined
  /** Id of the event to begin after; `'0'` begins with the oldest event of the log. Default: with the next event. */
  lastEventId?: string | undefined
}

/** Options of `connect`. */
export interface SseOptions<Events extends object = DeclaredEvents, Loaded = unknown> extends ConnectionOptions {
  /**
   * Loads the state and shows it. Called at the first connect, and after each `resync`, when events have been missed. Events that come
   * meanwhile wait, and follow in order. If it throws, it is called again, with growing pauses. Two calls never overlap. Default: none.
   */
  load?: ((context: LoadContext) => Loaded | Promise<Loaded>) | undefined
  /**
   * Returns whether an event is older than the state that `load` has returned. Such an event is dropped. Default: none is, so an event
   * may repeat what has been loaded.
   */
  isStale?: ((event: AnyEvent<Events>, loaded: Loaded) => boolean) | undefined
  /**
   * Schemas by event name: any Standard Schema. Listeners get the output of the schema as data. If it refuses the data, the event is
   * dropped, and an `SseError` goes to the listeners of `'error'`. Default: nothing is checked.
   */
  schemas?: { readonly [Name in keyof Events & string]?: DataSchema<Events[Name]> } | undefined
  /**
   * Whether tabs of the same origin and URL share one connection, by Web Locks and BroadcastChannel. If the browser has neither, as on
   * a page without HTTPS, each tab has its own. Topics, `load` and callbacks remain each tab's own. Default: false.
   */
  shared?: boolean | undefined
  /** Only tabs with the same key share a connection. Put the user's id here. Default: `''`. */
  sharedKey?: string | undefined
  /** Closes the connection when it aborts. */
  signal?: AbortSignal | undefined
  /**
   * Where the last event id is stored, so that the page resumes after a reload: `true` for `sessionStorage`, or an object like it. If
   * it is missing or throws, nothing is stored. `load` is called in any case. Default: false.
   */
  storage?: boolean | CursorStorage | undefined
  /**
   * Maximum number of events that wait for `load`, and of those that wait for each `for await`. While too many wait for `load`, the
   * client stops reading, and the limits of the server apply. A `for await` that is too slow loses its oldest events, and gets a
   * `resync` in their place. Default: 1,024.
   */
  maxBuffered?: number | undefined
}

/** The names that `on` takes: those of the app's events, and `'resync'`. */
export type EventNames<Events> = keyof WithOwnEvents<Events> & string

// biome-ignore lint/suspicious/noExplicitAny: the types of the app's events and state are known to the caller
export type AnyOptions = SseOptions<any, any>
