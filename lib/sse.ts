import type { CloseOptions } from './close-options.js'
import type { EventOptions } from './encode.js'
import type { ClientSelector } from './selector.js'
import type { SseClient } from './sse-client.js'
import type { EventData, EventName } from './sse-events.js'
import type { SseStats } from './stats.js'

/** The hub as the app sees it, `app.sse`. */
export interface Sse {
  /**
   * Sends data to every client, or to the subscribers of a topic. Returns at once; never throws because of a client.
   *
   * @param data turned into text by `serialize` (`JSON.stringify`), or by the event's schema
   * @param options `event`: its name; `topic`: who hears it, default everyone; `except`: the id of a client that does
   *   not; `id`: its own id, default `<epoch>-<seq>`
   * @throws UnserializableError, InvalidEventError, DuplicateIdError, EventTooLargeError: then nothing is broadcast
   */
  broadcast<Name extends EventName | undefined = undefined>(data: EventData<Name>, options?: EventOptions<Name>): void
  /** As `broadcast`, with text as it is: CR, LF and CRLF in it reach the client as LF. */
  broadcastMessage(text: string, options?: EventOptions): void
  /**
   * As `broadcast`.
   *
   * @returns the event's id, once it is accepted. Rejects with what `broadcast` throws, and with `ClosedError` after
   *   `app.close()`.
   */
  publish<Name extends EventName | undefined = undefined>(
    data: EventData<Name>,
    options?: EventOptions<Name>
  ): Promise<string>
  /**
   * Ends the streams of some clients: of this process, where a function picks them; of all processes that share a
   * backplane, where a selector does, `{ state: { userId: 7 } }` say.
   *
   * @returns how many they were on this process
   * @throws InvalidSelectorError, InvalidOptionError
   */
  disconnect(who: ClientSelector | ((client: SseClient) => boolean), options?: CloseOptions): number
  /**
   * Whether this process should be sent clients: false while its backplane is out of reach, and when it closes. For the
   * readiness probe of an orchestrator.
   */
  readonly ready: boolean
  /** Clients connected to this process. */
  readonly clientCount: number
  /** The clients connected to this process. */
  readonly clients: Iterable<SseClient>
  /** Figures of this process, since it began. */
  stats(): SseStats
}
