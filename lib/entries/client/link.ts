import type { SseEvent } from './event.js'
import type { ConnectionStatus } from './status.js'

// What stands between a client and what it hears by: a connection of its own, or one that tabs share.

/** Where a connection leads. */
export interface Sink {
  /** Takes an event, one of the plugin's own included: `connected`, `keepalive`, `resync`. */
  receive(event: SseEvent): void
  /** Resolves when it takes more; nothing, where it does at once. */
  room(): Promise<void> | undefined
  tell(status: ConnectionStatus): void
  fail(error: unknown): void
}

export type Query = Record<string, string | undefined>

export type Address = string | URL | (() => string | URL | Promise<string | URL>)

/** What a client hears by. */
export interface Link {
  /** Its id on the server, for the option `except` of broadcasts. */
  readonly clientId: string | undefined
  /** Its topics have changed. */
  restart(): void
  close(): void
}
