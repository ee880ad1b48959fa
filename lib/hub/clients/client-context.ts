import type { Diagnostics } from '../../api/diagnostics.js'
import type { DisconnectReason } from '../../api/errors.js'
import type { Logger } from '../../api/input/logger.js'
import type { Chunk } from '../../log/chunk.js'
import type { CursorContext } from '../../log/cursor.js'
import type { EventEncoder } from '../../log/event-encoder.js'
import type { Position } from '../../log/event-log.js'
import type { SubscriptionLimits } from '../../log/topic.js'
import type { Request, Response } from '../../wire/response.js'
import type { Client } from './client.js'
import type { Counters } from './counters.js'
import type { Follower } from './follower.js'
import type { Slot } from './ip-limit.js'
import type { Until } from './last-event.js'

/** Limits of a quiet or stuck client, ms; `Infinity` for none. */
export interface CareLimits {
  /** Without a write for so long, it gets a keepalive. */
  readonly keepAliveInterval: number
  /** Without taking bytes for so long, it is cut. */
  readonly stallTimeout: number
  /** Connected for so long, its stream is ended. */
  readonly maxConnectionAge: number
}

/** Where a client is kept while it is connected. */
export interface Home {
  /** Whether its live clients have been offered all that is theirs. */
  readonly isSettled: boolean
  /** A client leaves. */
  leave(client: Follower): void
  /** A client that catches up has nothing left to read. @returns whether it is live from now on */
  makeLive(client: Follower): boolean
  /** A live client ceases to be live. @returns `seq` up to which it has been offered everything */
  fallBehind(client: Follower): number
  /** Events that a live client has yet to be offered. */
  lagOf(client: Follower): number
}

/** The request that a client came by, for as long as the client is here. */
export interface Scope {
  /** Runs a callback of the app in the request's own context. */
  run<Result>(callback: () => Result): Result
  /** Aborts the request's signal. */
  abort(): void
  /** The request's own logger. */
  readonly log: Logger
}

/** What the clients of a hub have in common. */
export interface ClientContext extends CursorContext {
  readonly counters: Counters
  readonly diagnostics: Diagnostics
  readonly overflow: 'drop-oldest' | 'disconnect'
  readonly maxEventBytes: number
  /** Whether the app closes: clients then read when they are told to, a slice of time a turn, and not when they drain. */
  isClosing: boolean
  /** Reconnection time that clients are given, ms. */
  readonly retry: number | undefined
  /** Interval of keepalives as clients are told of it, ms; 0 for none. */
  readonly keepAlive: number
  /** A keepalive; with a cursor, where the log has moved on. */
  keepAliveAt(cursor: string | undefined): Chunk
  readonly encoder: EventEncoder
  readonly subscriptionLimits: SubscriptionLimits
  /** Those that wait for what their streams are busy with; also some that have ceased to. */
  readonly busy: Set<Follower>
  /** Called once, after the response headers have been sent. */
  onOpen(client: Client): void
  /** Called when a client's audience has changed. */
  onAudience(client: Follower): void
  /** Called once for every client, opened or not. */
  onEnd(client: Client, reason: DisconnectReason): void
  /** Called when its response has thrown, before `onEnd`. */
  onFail(client: Client, error: unknown): void
  /** Called when events are lost for a slow client. */
  onLoss(client: Client, events: number): void
}

/** A log of its own, with those who read it. */
export type Source = Pick<CursorContext, 'log' | 'reader' | 'audiences' | 'queueDepth'>

/** What a request becomes a client with. */
export interface Arrival {
  readonly ip: string | undefined
  /** Whose events it reads, where not the hub's. */
  readonly source: Source | undefined
  readonly topics: ReadonlySet<string>
  /** Whether it is told what the app subscribes it to. */
  readonly tellsSubscriptions: boolean
  /** Whether it hears what has no topic, too. */
  readonly everyone: boolean
  /** After which event its stream ends, if after any. */
  readonly until: Until | undefined
  /** What the app has to say of it. */
  readonly state: object | undefined
  readonly position: Position
  /** Whether it has shown a last event id that is to tell its place. */
  readonly resumes: boolean
  /** What it holds while it is here. */
  readonly slot: Slot
  /** Whether it gets gzip. */
  readonly compressed: boolean
  readonly scope: Scope
  readonly req: Request
  readonly res: Response
}
