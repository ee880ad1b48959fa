// The state of a connection, as `status` and `onStatus` give it.

/** Why a connection has been closed for good. */
export type CloseReason =
  /** `close()` was called, or `signal` has aborted. */
  | 'closed'
  /** The server wants this client to stay away (`client.close({ reconnect: false })`). */
  | 'stay-away'
  /** The answer was 204: the stream is complete, for example that of a run. */
  | 'completed'
  /** The answer was 401 or 403, and `onUnauthorized` is missing, has returned `false`, or has not helped. */
  | 'unauthorized'
  /** The answer was another 4xx, except 429. */
  | 'refused'

/** The state of a connection. A new object with each change. */
export type SseStatus =
  | { readonly state: 'connecting' }
  | {
      readonly state: 'open'
      /** `'pages'`: something on the way holds streams back, and the client requests JSON pages instead. */
      readonly transport: 'stream' | 'pages'
      /** Whether `load` is running. Events wait for it. */
      readonly loading: boolean
      /** With `shared`: whether this tab has the connection, or receives events from the tab that has it. */
      readonly role?: 'leader' | 'follower'
    }
  | {
      readonly state: 'waiting'
      /** Time of the next attempt, ms since 1970; `Infinity` if `pauseWhenHidden` waits for the tab to be shown. */
      readonly retryAt: number
      /** Why the last attempt has ended; undefined if the stream has ended properly. */
      readonly error: unknown
    }
  | { readonly state: 'closed'; readonly reason: CloseReason; readonly error: unknown }

/** How events reach the client. */
export type Transport = Extract<SseStatus, { state: 'open' }>['transport']

/** The state as a connection knows it: only the client knows whether it is loading. */
export type ConnectionStatus = SseStatus extends infer Status
  ? Status extends { loading: boolean }
    ? Omit<Status, 'loading'>
    : Status
  : never
