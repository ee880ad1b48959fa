import type { CloseOptions } from './close-options.js'
import type { SendOptions } from './encode.js'
import type { EventData, EventName } from './sse-events.js'

/**
 * The app's own data about a client, `client.state`. Declare its fields by interface merging:
 *
 * @example
 * declare module 'pylon-sse' {
 *   interface SseClientState { userId: string }
 * }
 */
// biome-ignore lint/suspicious/noEmptyInterface: users add to it
export interface SseClientState {}

/** With nothing declared, anything can be kept. */
// biome-ignore lint/suspicious/noExplicitAny: the app's data, of which nothing is known here
type AnyState = Record<string, any>
type State = keyof SseClientState extends never ? AnyState : SseClientState
type PartialState = keyof SseClientState extends never ? AnyState : Partial<SseClientState>

/** A connected client, as the app sees it. */
export interface SseClient {
  /** Unique, not to be guessed, and another one after each reconnection. */
  readonly id: string
  /** `request.ip`; none on a unix socket. */
  readonly ip: string | undefined
  /** When it connected. */
  readonly connectedAt: Date
  /** Whether its stream has ended. */
  readonly closed: boolean
  /** The topics and patterns that it is subscribed to. */
  readonly topics: readonly string[]
  /** The app's own data about it; empty at first, so that each field may be missing. Replaced as a whole, it is complete. */
  get state(): PartialState
  set state(state: State)
  /**
   * When its stream is ended, the expiry of a token say. Default: none. Past or present ends it at once; a Date that is
   * not valid is refused with a TypeError.
   */
  expiresAt: Date | undefined
  /**
   * Sends an event to this client alone, in order with what it gets from broadcasts: after all that was broadcast
   * before this call. In `onConnect` it comes before all that was broadcast since the client connected. Such an event
   * has no id, and is not replayed.
   *
   * A client that reads too slowly holds at most `queueDepth` such events and `maxEventBytes` of them (always one);
   * past that `overflow` applies.
   *
   * @param data turned into text by `serialize`, or by the event's schema
   * @param options `event`: the event's name
   * @returns false when the client has gone
   * @throws UnserializableError, InvalidEventError, EventTooLargeError as `broadcast` does
   */
  send<Name extends EventName | undefined = undefined>(data: EventData<Name>, options?: SendOptions<Name>): boolean
  /**
   * Lets it hear a topic, or a pattern, from now on; nothing, when it does already. In `onConnect` it is as if the
   * client had asked for it: what it is replayed holds the topic, too.
   *
   * @throws InvalidTopicError when it is none, or when the client would have more than `maxTopics`
   */
  subscribe(topic: string): void
  /** It no longer hears a topic or pattern that it was subscribed to, not even what was broadcast and is not written. */
  unsubscribe(topic: string): void
  /** Ends the stream properly, after what was broadcast before. @throws InvalidOptionError */
  close(options?: CloseOptions): void
}
