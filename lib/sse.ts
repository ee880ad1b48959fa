import type { SseClient } from './client.js'
import type { EventOptions } from './encode.js'
import type { SseStats } from './stats.js'

/** The hub as the app sees it, `app.sse`. */
export interface Sse {
  /**
   * Sends data to every client. Returns at once; never throws because of a client.
   *
   * @param data turned into text by `serialize` (`JSON.stringify`)
   * @param options `event`: its name; `id`: its own id, default `<epoch>-<seq>`
   * @throws UnserializableError, InvalidEventError, DuplicateIdError, EventTooLargeError: then nothing is broadcast
   */
  broadcast(data: unknown, options?: EventOptions): void
  /** As `broadcast`, with text as it is: CR, LF and CRLF in it reach the client as LF. */
  broadcastMessage(text: string, options?: EventOptions): void
  /**
   * As `broadcast`.
   *
   * @returns the event's id, once it is accepted. Rejects with what `broadcast` throws, and with `ClosedError` after
   *   `app.close()`.
   */
  publish(data: unknown, options?: EventOptions): Promise<string>
  /** Clients connected to this process. */
  readonly clientCount: number
  /** The clients connected to this process. */
  readonly clients: Iterable<SseClient>
  /** Figures of this process, since it began. */
  stats(): SseStats
}
