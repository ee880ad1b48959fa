/** Why a connection has ended for good. */
export type CloseReason =
  /** `close()` was called, or the signal has aborted. */
  | 'closed'
  /** The server wants this client to stay away (`client.close({ reconnect: false })`). */
  | 'stay-away'
  /** The answer was 204: the stream has come to its end, such as that of a run. */
  | 'completed'
  /** The answer was 401 or 403, and `onUnauthorized` has not helped. */
  | 'unauthorized'
  /** The answer was another 4xx. */
  | 'refused'

/** How the connection does. A new object with each change. */
export type SseStatus =
  | { readonly state: 'connecting' }
  | {
      readonly state: 'open'
      /** `'pages'`: something on the way holds streams back, and the client asks for JSON pages instead. */
      readonly transport: 'stream' | 'pages'
      /** Whether `load` runs, and events wait for it. */
      readonly loading: boolean
      /** With `shared`: whether this tab has the connection, or hears by another one. */
      readonly role?: 'leader' | 'follower'
    }
  | {
      readonly state: 'waiting'
      /** When it connects next, ms since 1970; `Infinity` while `pauseWhenHidden` has it wait for the tab to be shown. */
      readonly retryAt: number
      /** Why it waits; none where the stream has ended in order. */
      readonly error: unknown
    }
  | { readonly state: 'closed'; readonly reason: CloseReason; readonly error: unknown }

/** How events come. */
export type Transport = Extract<SseStatus, { state: 'open' }>['transport']

/** What a connection tells of itself: all but what the client knows. */
export type ConnectionStatus = SseStatus extends infer Status
  ? Status extends { loading: boolean }
    ? Omit<Status, 'loading'>
    : Status
  : never
