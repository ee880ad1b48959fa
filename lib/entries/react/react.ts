'use client'
// React hooks for `pylon-sse/client`. The connection behind them is in live-store.ts.

import {
  type Context,
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useContext,
  useEffect,
  useInsertionEffect,
  useRef,
  useState,
  useSyncExternalStore
} from 'react'
import type {
  Address,
  DeclaredEvents,
  EventNames,
  SseConnection,
  SseEvent,
  SseOptions,
  SseStatus,
  WithOwnEvents
} from '../client/client.js'
import { LiveStore } from './live-store.js'
import { type AnyOptions, keyOf, topicsOf } from './options.js'

/** A connection as components see it. A new object whenever the status changes. */
export interface SseLive<Events extends object = DeclaredEvents> {
  /**
   * State of the connection: see `SseStatus`. `'connecting'` on the server and until the component is mounted;
   * `'closed'` if `url` is `null`.
   */
  readonly status: SseStatus
  /** Why it waits, or has been closed; undefined otherwise. */
  readonly error: unknown
  /** What `connect` has returned; undefined on the server, until the component is mounted, and if `url` is `null`. */
  readonly connection: SseConnection<Events> | undefined
  /**
   * Like `on` of the connection, for this one and those that follow when the URL changes. Always the same function.
   *
   * @returns a function that removes the callback
   */
  readonly on: (name: string, callback: (data: never, event: never) => void) => () => void
}

/**
 * Options of `useSse`: those of `connect` without `signal`, since the connection is closed when the component is
 * unmounted.
 */
export type UseSseOptions<Events extends object = DeclaredEvents, Loaded = unknown> = Omit<
  SseOptions<Events, Loaded>,
  'signal'
>

/** Props of `SseProvider`. */
export interface SseProviderProps<Events extends object = DeclaredEvents, Loaded = unknown> {
  /** The first argument of `useSse`. */
  url: Address | null
  /** The second argument of `useSse`. */
  options?: UseSseOptions<Events, Loaded> | undefined
  /** Components that use the connection. */
  children?: ReactNode
}

// biome-ignore lint/suspicious/noExplicitAny: the events of a connection are known where it is used
type AnyLive = SseLive<any>

const Nearest: Context<AnyLive | undefined> = createContext<AnyLive | undefined>(undefined)

/**
 * Keeps a stream open while the component is mounted. Also under StrictMode it is a single connection. On the server
 * nothing is fetched.
 *
 * Options may be written inline. Another URL, or another value of an option, opens another connection, which continues
 * from the last event if the URL is the same. Topics change while the connection is open. Functions and `headers` are
 * always those of the last render. `lastEventId`, `storage` and `schemas` are used when it connects. A URL that is a
 * function is called for each request; another function does not count as another URL.
 *
 * @param url as `connect` takes it; `null` for no connection
 * @throws TypeError if the URL is invalid, as an error of the component
 * @example
 * const live = useSse('/events', { topics: [`orders.${id}`] })
 * useSseEvent('order.paid', (order) => update(order), live)
 */
export function useSse<Events extends object = DeclaredEvents, Loaded = unknown>(
  url: Address | null,
  options: UseSseOptions<Events, Loaded> = {}
): SseLive<Events> {
  const [store] = useState(() => new LiveStore(url))
  const given = options as AnyOptions
  const topics = topicsOf(given)
  const latest = { url, options: given, topics }
  useInsertionEffect(() => {
    store.latest = latest
  })
  const key = keyOf(url, given)
  // biome-ignore lint/correctness/useExhaustiveDependencies: what it connects by is in the store
  useEffect(() => store.open(), [store, key])
  // biome-ignore lint/correctness/useExhaustiveDependencies: the topics are in the store
  useEffect(() => store.updateTopics(), [store, JSON.stringify(topics)])
  return useSyncExternalStore(store.subscribe, store.current, store.initial) as SseLive<Events>
}

/**
 * Calls back for each event with a name while the component is mounted, as `on` of the connection does; also for
 * `'message'`, `'resync'` and `'error'`. The handler is always that of the last render.
 *
 * @param live what `useSse` has returned. Default: the connection of the nearest `SseProvider`
 * @throws Error if there is neither
 */
export function useSseEvent<Name extends EventNames<Events>, Events extends object = DeclaredEvents>(
  name: Name,
  handler: (data: WithOwnEvents<Events>[Name], event: SseEvent<Name, WithOwnEvents<Events>[Name]>) => void,
  live?: SseLive<Events>
): void
export function useSseEvent(name: 'error', handler: (error: unknown) => void, live?: AnyLive): void
export function useSseEvent(name: string, handler: (data: never, event: never) => void, live?: AnyLive): void {
  const nearest = useContext(Nearest)
  const { on } = live ?? found(nearest, `useSseEvent('${name}', …)`)
  const latest = useRef(handler)
  useInsertionEffect(() => {
    latest.current = handler
  })
  useEffect(() => on(name, (data, event) => latest.current(data, event)), [on, name])
}

/** Returns the connection of the nearest `SseProvider`. @throws Error if there is none */
export function useSseConnection<Events extends object = DeclaredEvents>(): SseLive<Events> {
  return found(useContext(Nearest), 'useSseConnection()')
}

/** Opens a connection, as `useSse` does, for all components inside: `useSseEvent` and `useSseConnection` find it. */
export function SseProvider<Events extends object = DeclaredEvents, Loaded = unknown>({
  url,
  options,
  children
}: SseProviderProps<Events, Loaded>): ReactElement {
  return createElement(Nearest.Provider, { value: useSse(url, options) }, children)
}

function found(live: AnyLive | undefined, what: string): AnyLive {
  if (live !== undefined) return live
  throw new Error(`${what} finds no connection. Use it inside an <SseProvider>, or pass what useSse() returns.`)
}
