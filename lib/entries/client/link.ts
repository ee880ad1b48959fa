// What connects a client to the server, whether it is a connection of its own (connection.ts) or shared by tabs (shared.ts).

import type { SseEvent } from './event.js'
import type { ConnectionStatus } from './status.js'

/** Receives what a connection brings. */
export interface Sink {
  /** Takes an event. Those of the plugin itself are among them: `connected`, `keepalive`, `resync`. */
  receive(event: SseEvent): void
  /** Resolves when there is room for more events. Returns undefined if there is room now. */
  room(): Promise<void> | undefined
  /** Takes a new status. */
  tell(status: ConnectionStatus): void
  /** Takes an error that the connection survives. */
  fail(error: unknown): void
}

/** Parameters of a request. One that is undefined or empty is not sent. */
export type Query = Record<string, string | undefined>

/** URL of a stream, relative to the page; or a function that returns it, called for each request. */
export type Address = string | URL | (() => string | URL | Promise<string | URL>)

/** A connection, from the client's side. */
export interface Link {
  /** The id of the client on the server, for the option `except` of broadcasts. */
  readonly clientId: string | undefined
  /** Called when the topics have changed: subscribes to the new ones. */
  restart(): void
  close(): void
}
