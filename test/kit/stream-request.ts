/** Where a server listens. `serve()` answers one; a plain `{ port }` will do for any other server. */
export interface Target {
  host?: string
  port?: number
  /** Of a unix socket; `host` and `port` are then unused. */
  socketPath?: string
  /** Present when the server speaks TLS: what its certificate is checked against. */
  ca?: string
}

/** What a client asks for, whatever the transport. */
export interface StreamRequest {
  path?: string
  query?: Record<string, string>
  method?: string
  /** A header that is undefined here is not sent, not even by default. */
  headers?: Record<string, string | string[] | undefined>
  lastEventId?: string
}

export function pathOf({ path = '/events', query }: StreamRequest): string {
  return query ? `${path}?${new URLSearchParams(query)}` : path
}

/** Those of an EventSource. */
export function headersOf({ headers, lastEventId }: StreamRequest): [name: string, value: string][] {
  const all = { accept: 'text/event-stream', 'last-event-id': lastEventId, ...headers }
  return Object.entries(all).flatMap(([name, value]) =>
    [value ?? []].flat().map((single): [string, string] => [name, single])
  )
}
