// What the app sees of the hub: events, clients, stats, and `app.sse` itself. Only types; the options are in
// options.ts, the errors in errors.ts.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { BackplaneStats } from '../backplane/backplane.js'
import type { ClientSelector } from '../backplane/selector.js'
import type { RunOptions } from '../hub/runs/run-options.js'
import type { Run } from '../hub/runs/runner.js'
import type { RunSource } from '../hub/runs/source.js'
import type { StreamOptions } from '../routes/stream-options.js'
import type { DisconnectReason, RejectReason, ResyncReason } from './errors.js'
import type { EventData, EventName } from './events.js'

export type { BackplaneStats } from '../backplane/backplane.js'
export type { ClientSelector } from '../backplane/selector.js'
export type { EventData, EventName, SseEvents } from './events.js'

/** Options of an event that is sent to a single client. */
export interface SendOptions<Name = string> {
  /** Name of the event (`addEventListener(name)` in the browser). Default: none, which browsers call `message`. */
  event?: Name | undefined
}

/** Options of an event that is broadcast. */
export interface EventOptions<Name = string> extends SendOptions<Name> {
  /** The event's id, which no other event in the log may have. Default: `<epoch>-<seq>`, assigned by the log. */
  id?: string | undefined
  /** Only clients that are subscribed to this topic receive the event. Default: none, all clients receive it. */
  topic?: string | undefined
  /**
   * Id of a client that does not receive the event, for example the sender's. An unknown id has no effect. Default:
   * none.
   */
  except?: string | undefined
}

/** Options of `publish`. */
export interface PublishOptions<Name = string> extends EventOptions<Name> {
  /**
   * A transaction that the event is part of: clients receive it if the transaction commits, and only then. Takes a
   * client of pg with an open transaction, on the database of the backplane `postgres(...)`. Default: none.
   */
  transaction?: Transaction | undefined
}

/** The part of a pg client that is used. */
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

/** If no fields are declared, the state can hold anything. */
// biome-ignore lint/suspicious/noExplicitAny: the app's data, of which nothing is known here
type AnyState = Record<string, any>
type State = keyof SseClientState extends never ? AnyState : SseClientState
type PartialState = keyof SseClientState extends never ? AnyState : Partial<SseClientState>

/** A connected client, as the app sees it. */
export interface SseClient {
  /** A random UUID; a new one after each reconnection. */
  readonly id: string
  /** `request.ip`; undefined on a unix socket. */
  readonly ip: string | undefined
  /** When it connected. */
  readonly connectedAt: Date
  /** Whether its stream has ended. */
  readonly closed: boolean
  /**
   * Whether it reconnected with a last event id that the log could resume from, and has missed nothing: `onConnect`
   * need not send it everything again. False if it sent none, or gets a `resync`.
   */
  readonly resumed: boolean
  /**
   * Aborts when the stream ends, whoever ends it. For work that the app does for this client alone. `signal.reason` is
   * a `StreamEndedError`, whose `reason` is the one that `onDisconnect` gets. Already aborted if the stream has ended.
   */
  readonly signal: AbortSignal
  /** The topics and patterns that it is subscribed to. */
  readonly topics: readonly string[]
  /**
   * The app's own data about the client. Empty at first, so each field may be missing when read; an assigned value must
   * be complete.
   */
  get state(): PartialState
  set state(state: State)
  /**
   * When the stream is to be ended, for example at the expiry of a token. Default: none. A date in the past ends it at
   * once; anything but a valid Date or undefined throws an InvalidOptionError.
   */
  expiresAt: Date | undefined
  /**
   * Sends an event to this client alone, after everything that was broadcast before this call. In `onConnect` it comes
   * before everything that was broadcast since the client connected. The event has no id and is not replayed.
   *
   * For a client that reads too slowly, at most `queueDepth` such events and `maxEventBytes` bytes of them are queued
   * (always one); past that `overflow` applies.
   *
   * @param data serialised by `serialize`, or by the event's schema
   * @param options `event`: the event's name
   * @returns false if the client has disconnected
   * @throws UnserializableError, InvalidEventError, EventTooLargeError, as `broadcast`
   */
  send<Name extends EventName | undefined = undefined>(data: EventData<Name>, options?: SendOptions<Name>): boolean
  /**
   * Subscribes the client to a topic or pattern. Has no effect if it is already subscribed. In `onConnect` it is as if
   * the client had asked for the topic: the replay includes it.
   *
   * @throws InvalidTopicError if it is not a topic or pattern, or the client would have more than `maxTopics`
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
   * Whether the client may reconnect. Default: true, and a browser's EventSource does. With false the client gets an
   * event named `stay-away` with a last event id that the server answers with 204 on reconnection, which makes an
   * EventSource stop (WHATWG HTML, 9.2.3). That keeps well-behaved clients away; for access control use
   * `route.onRequest`.
   */
  reconnect?: boolean | undefined
}

/** What the log holds, for replay and for clients that read slowly. Gauges. */
export interface HistoryStats {
  /** Number of events. */
  events: number
  /** Size of these events, bytes. */
  bytes: number
  /** Time since the oldest of them reached this process, ms, with a precision of 100 ms; `null` if there is none. */
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
  /** Clients that have disconnected, by reason. */
  disconnects: Record<DisconnectReason, number>
  /** Events by which the slowest client is behind. Gauge. */
  slowestLag: number
  /** What the log holds. */
  history: HistoryStats
  /** State of the backplane; `null` without one. */
  backplane: BackplaneStats | null
}

/** A FastifyRequest of any route and server type. */
interface AnyRequest {
  readonly raw: IncomingMessage | Http2ServerRequest
  readonly routeOptions: object
}

/** A FastifyReply of any route and server type. */
interface AnyReply {
  readonly raw: ServerResponse | Http2ServerResponse
  readonly statusCode: number
}

/** The hub as the app sees it, `app.sse`. */
export interface Sse {
  /**
   * Sends data to every client, or to the subscribers of a topic. Returns at once; never throws because of a client.
   *
   * @param data serialised by `serialize` (`JSON.stringify`), or by the event's schema
   * @param options `event`: its name; `topic`: only its subscribers receive the event, default all clients; `except`:
   *   the id of a client that does not receive it; `id`: its id, default `<epoch>-<seq>`
   * @throws UnserializableError, InvalidEventError, DuplicateIdError, EventTooLargeError: then nothing is broadcast
   */
  broadcast<Name extends EventName | undefined = undefined>(data: EventData<Name>, options?: EventOptions<Name>): void
  /** Like `broadcast`, for text that is sent as it is: CR, LF and CRLF in it reach the client as LF. */
  broadcastMessage(text: string, options?: EventOptions): void
  /**
   * Like `broadcast`, and tells when the event is accepted. With `transaction` the event is part of a transaction of
   * the app.
   *
   * @returns a promise of the event's id, which resolves once the event is accepted. Rejects with what `broadcast`
   *   throws, with `ClosedError` after `app.close()`, and with the errors of a backplane. With `transaction` the
   *   promise resolves with the `id` of the options, or `''`, since the log assigns an id only when the transaction commits;
   *   it rejects with the errors of the client's `query`, and with InvalidEventError if the backplane has no transactions.
   */
  publish<Name extends EventName | undefined = undefined>(
    data: EventData<Name>,
    options?: PublishOptions<Name>
  ): Promise<string>
  /**
   * Ends the streams of the selected clients: on this process if a function selects them; on all processes that share a
   * backplane if a selector does, for example `{ state: { userId: 7 } }`.
   *
   * @returns the number of clients on this process
   * @throws InvalidSelectorError, InvalidOptionError
   */
  disconnect(who: ClientSelector | ((client: SseClient) => boolean), options?: CloseOptions): number
  /**
   * Subscribes the selected clients to a topic or pattern, as `client.subscribe` does; selected as by `disconnect`.
   * `authorizeTopics` is not called. With a backplane, the clients of a selector receive what is broadcast to the topic
   * after this call. A client that has `maxTopics` already is skipped, with a line in the log. A client that reconnects
   * is a new client, and has the topics that it asks for.
   *
   * @returns the number of clients on this process
   * @throws InvalidTopicError, InvalidSelectorError, InvalidOptionError
   */
  subscribe(who: ClientSelector | ((client: SseClient) => boolean), topic: string): number
  /** Unsubscribes the selected clients, otherwise like `subscribe`. Takes effect at once on this process. */
  unsubscribe(who: ClientSelector | ((client: SseClient) => boolean), topic: string): number
  /**
   * Sends an event to the selected clients, as `client.send` does; selected as by `disconnect`. The data is serialised
   * once. The event has no id and is not replayed: broadcast what must arrive to a topic.
   *
   * @param options `event`: the event's name
   * @returns the number of clients on this process
   * @throws UnserializableError, InvalidEventError, EventTooLargeError, InvalidSelectorError, InvalidOptionError
   */
  send<Name extends EventName | undefined = undefined>(
    who: ClientSelector | ((client: SseClient) => boolean),
    data: EventData<Name>,
    options?: SendOptions<Name>
  ): number
  /**
   * Answers a request with a stream of this hub, on any route of the app and for any method, after all hooks of the
   * route and with the headers that they have set. Limits, resuming, keepalives, the JSON page by `Accept` and closing
   * are the same as on the plugin's own route.
   *
   * @param request the request, as the handler gets it
   * @param reply its reply, which must not be used afterwards
   * @param options what the client receives; `authorizeTopics` is not called
   * @returns what the handler must return: a promise that resolves with undefined once the response has begun
   * @throws InvalidOptionError, InvalidTopicError, NotAcceptableError, RunGoneError, InjectError
   * @example
   * app.get('/rooms/:id/events', { onRequest: mayEnter }, (request, reply) =>
   *   app.sse.stream(request, reply, { topics: [`room.${request.params.id}`] }))
   */
  stream(request: AnyRequest, reply: AnyReply, options?: StreamOptions): Promise<never>
  /**
   * Publishes the pieces of a source in order, to a log of its own, whether or not anybody listens. Each piece becomes
   * an event; the last event is `done`, with what the source returned, or `failed`. The next piece is requested once
   * the last one is accepted. A client of `app.sse.stream(request, reply, run.stream)`, on any process, gets all of it,
   * and resumes where it was after a reload.
   *
   * @param source an iterable, a stream, or a function that gets a signal and returns one. A piece is data, or `{
   *   event?, data }`
   * @param options `topic` and limits: see `RunOptions`
   * @throws InvalidOptionError, also if another run has this topic; InvalidEventError; RunsFullError past `runs.max`
   *   and `runs.bytes`, and while the app closes
   */
  run(source: RunSource, options: RunOptions): Run
  /**
   * Stops the run of this topic, on whichever process it is: its signal aborts, and listeners get `failed` with the
   * reason `stopped`.
   *
   * @returns whether this process knows a run of this topic that has not ended
   */
  stopRun(topic: string): boolean
  /** The client with this id, if it is connected to this process. */
  client(id: string): SseClient | undefined
  /**
   * Whether clients should be sent to this process: false while its backplane is out of reach, and once it closes. For
   * the readiness probe of an orchestrator.
   */
  readonly ready: boolean
  /** Clients connected to this process. */
  readonly clientCount: number
  /** The clients connected to this process. */
  readonly clients: Iterable<SseClient>
  /** Figures of this process, since it started. */
  stats(): SseStats
}
