import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { BackplaneStats } from '../backplane/backplane.js'
import type { ClientSelector } from '../backplane/selector.js'
import type { RunOptions } from '../hub/runs/run-options.js'
import type { Run } from '../hub/runs/runner.js'
import type { RunSource } from '../hub/runs/source.js'
import type { StreamOptions } from '../routes/stream-options.js'
import type { DisconnectReason, RejectReason, ResyncReason } from './errors.js'
import type { SseEvents } from './events.js'

// What the app sees of the hub: its events, its clients, its figures and `app.sse` itself. Types alone.

export type { BackplaneStats } from '../backplane/backplane.js'
export type { ClientSelector } from '../backplane/selector.js'
export type { SseEvents } from './events.js'

/** Names that an event may have: those declared, or any where none is. */
export type EventName = keyof SseEvents extends never ? string : keyof SseEvents & string

/**
 * Data of an event by its name. An event without a name has any: it is a `message`, whose data nobody has declared. The
 * brackets keep it from being distributed, so that it holds in functions that are generic in the name, too.
 */
export type EventData<Name> = [Name] extends [keyof SseEvents] ? SseEvents[Name] : unknown

/** What can be said beside its data of an event that goes to one client. */
export interface SendOptions<Name = string> {
  /** Name of the event (`addEventListener(name)` in the browser). Default: none, which browsers call `message`. */
  event?: Name | undefined
}

/** What can be said of an event beside its data. */
export interface EventOptions<Name = string> extends SendOptions<Name> {
  /** The event's own id, at most once in the log. Default: `<epoch>-<seq>`, given by the log. */
  id?: string | undefined
  /** Who hears it: the clients subscribed to this topic. Default: everyone. */
  topic?: string | undefined
  /** Id of a client that does not hear it: the sender's own, say. One that no client has does nothing. Default: none. */
  except?: string | undefined
}

/** Options of `publish`. */
export interface PublishOptions<Name = string> extends EventOptions<Name> {
  /**
   * A transaction that the event is a part of: it is heard if the transaction commits, and only then. It takes a client of pg
   * with an open transaction, on the database that `postgres(...)` has as the backplane. Default: none.
   */
  transaction?: Transaction | undefined
}

/** What is used of a client of pg. */
export interface Transaction {
  query(text: string, values: unknown[]): Promise<unknown>
}

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
  /**
   * Whether it came back with a last event id from which the log could go on, and has missed nothing since: `onConnect` need
   * not send it everything again. False for one that shows none, or is told a `resync`.
   */
  readonly resumed: boolean
  /**
   * Aborts when its stream ends, whoever ends it: for what the app does for this client alone. `signal.reason` is a
   * `StreamEndedError`, whose `reason` is what `onDisconnect` is told. Of an ended client it is aborted.
   */
  readonly signal: AbortSignal
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
   * Subscribes the client to a topic or pattern. Has no effect if it is already subscribed. In `onConnect` it is as if
   * the client had asked for the topic: the replay includes it.
   *
   * @throws InvalidTopicError when it is none, or when the client would have more than `maxTopics`
   */
  subscribe(topic: string): void
  /** Unsubscribes the client from a topic or pattern, also from events that were broadcast and are not written yet. */
  unsubscribe(topic: string): void
  /** Ends the stream properly, after what was broadcast before. @throws InvalidOptionError */
  close(options?: CloseOptions): void
}

/** How `client.close` and `app.sse.disconnect` end a stream. */
export interface CloseOptions {
  /**
   * Whether the client may come back. Default: true, and a browser's EventSource does. With false it is left with a
   * last event id that is answered with 204 on its return, which makes EventSource stay away (WHATWG HTML 9.2.3), and
   * gets an event by the name of `stay-away` that tells a page so. That keeps well-behaved clients out; access control is
   * for `route.onRequest`.
   */
  reconnect?: boolean | undefined
}

/** What is held for replay, and for clients that read slowly. Gauges. */
export interface HistoryStats {
  /** Events held. */
  events: number
  /** Bytes of these events. */
  bytes: number
  /** How long ago the oldest of them came to this process, ms, to a tenth of a second; `null` without one. */
  oldestAge: number | null
}

/** Figures of one hub, on this process. Counters count from the start; gauges say what is now. */
export interface SseStats {
  /** Clients connected. Gauge. */
  connected: number
  /** Clients that were ever connected. */
  accepted: number
  /** Requests that did not become clients, by reason. */
  rejected: Record<RejectReason, number>
  /** Events broadcast. */
  events: number
  /** Events written to clients: an event that reaches ten clients counts ten times. */
  deliveries: number
  /** Bytes written to clients, before compression and without the transport's framing. */
  bytes: number
  /** Events that clients missed by being too slow. */
  dropped: number
  /** `resync` events sent, by reason. */
  resyncs: Record<ResyncReason, number>
  /** Clients that have gone, by reason. */
  disconnects: Record<DisconnectReason, number>
  /** Events by which the slowest client is behind. Gauge. */
  slowestLag: number
  /** What the log holds. */
  history: HistoryStats
  /** How the backplane does; `null` without one. */
  backplane: BackplaneStats | null
}

/** A FastifyRequest, whatever its route's types and its server are. */
interface AnyRequest {
  readonly raw: IncomingMessage | Http2ServerRequest
  readonly routeOptions: object
}

/** A FastifyReply, as well. */
interface AnyReply {
  readonly raw: ServerResponse | Http2ServerResponse
  readonly statusCode: number
}

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
   * As `broadcast`, and with `transaction` as a part of a transaction of the app's.
   *
   * @returns the event's id, once it is accepted. Rejects with what `broadcast` throws, and with `ClosedError` after
   *   `app.close()`. With `transaction` it is the event's own `id`, or `''` where it has none, since its place is known when
   *   the transaction commits; it rejects with what the client's `query` does, and with InvalidEventError where the
   *   backplane has no transactions.
   */
  publish<Name extends EventName | undefined = undefined>(
    data: EventData<Name>,
    options?: PublishOptions<Name>
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
   * Subscribes some clients to a topic or pattern, as `client.subscribe` does; picked as by `disconnect`. Nobody is asked
   * whether they may. Where processes share a backplane, a selector's clients hear what is broadcast to the topic after this
   * call. Who has `maxTopics` already is passed over, with a line in the log. A client that reconnects is another one, and
   * has the topics that it asks for.
   *
   * @returns how many they are on this process
   * @throws InvalidTopicError, InvalidSelectorError, InvalidOptionError
   */
  subscribe(who: ClientSelector | ((client: SseClient) => boolean), topic: string): number
  /** As `subscribe`, the other way round: at once on this process. */
  unsubscribe(who: ClientSelector | ((client: SseClient) => boolean), topic: string): number
  /**
   * Sends an event to some clients, as `client.send` does; picked as by `disconnect`. The data are encoded once. The event has
   * no id, and is not replayed: for what must arrive, broadcast to a topic.
   *
   * @param options `event`: the event's name
   * @returns how many they are on this process
   * @throws UnserializableError, InvalidEventError, EventTooLargeError, InvalidSelectorError, InvalidOptionError
   */
  send<Name extends EventName | undefined = undefined>(
    who: ClientSelector | ((client: SseClient) => boolean),
    data: EventData<Name>,
    options?: SendOptions<Name>
  ): number
  /**
   * Answers a request with a stream of this hub, in any route of the app and by any method: after all hooks of the route, and
   * with the headers that they have set. All holds that holds on the plugin's own route: limits, resuming, keepalives, the
   * JSON page by `Accept`, closing.
   *
   * @param request a request, as the handler gets it
   * @param reply its reply, which is not to be used any more
   * @param options what is heard; nobody else is asked
   * @returns what the handler is to return: a promise that is fulfilled, with nothing, once the answer is under way
   * @throws InvalidOptionError, InvalidTopicError, NotAcceptableError, InjectError
   * @example
   * app.get('/rooms/:id/events', { onRequest: mayEnter }, (request, reply) =>
   *   app.sse.stream(request, reply, { topics: [`room.${request.params.id}`] }))
   */
  stream(request: AnyRequest, reply: AnyReply, options?: StreamOptions): Promise<never>
  /**
   * Publishes what a source gives, in order, whether or not anybody listens, to a log of its own: each piece an event, and `done`
   * with what the source returns, or `failed`, as the last. The next piece is asked for when the last is accepted. Who listens
   * by `app.sse.stream(request, reply, work.stream)`, on any process, gets all of it, and goes on where it was after a reload.
   *
   * @param source an iterable, a stream, or a function that gives one and gets a signal. A piece is data, or `{ event?, data }`
   * @param options `topic`: what it is known by; the bounds; see `RunOptions`
   * @throws InvalidOptionError, also where a run has this topic; InvalidEventError; RunsFullError past `runs.max` and
   *   `runs.bytes`, and while the app closes
   */
  run(source: RunSource, options: RunOptions): Run
  /**
   * Stops the run of this topic, on whatever process it is: its signal aborts, and listeners get `failed`, reason `stopped`.
   *
   * @returns whether this process knows of such a run that has not ended
   */
  stopRun(topic: string): boolean
  /** The client with this id, if it is connected to this process. */
  client(id: string): SseClient | undefined
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
