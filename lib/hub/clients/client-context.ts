// What clients share with their hub, and what a client is created from: interfaces only.

import type { Diagnostics } from '../../api/diagnostics.js'
import type { DisconnectReason } from '../../api/errors.js'
import type { Logger } from '../../api/input/logger.js'
import type { CursorContext } from '../../log/cursor.js'
import type { EventEncoder } from '../../log/event-encoder.js'
import type { Position } from '../../log/event-log.js'
import type { SubscriptionLimits } from '../../log/topic.js'
import type { Request, Response } from '../../wire/response.js'
import type { Client } from './client.js'
import type { Counters } from './counters.js'
import type { Follower } from './follower.js'
import type { Slot } from './ip-limit.js'
import type { KeepAlives } from './keep-alives.js'
import type { Until } from './until.js'

/** Limits that housekeeping enforces, ms; `Infinity` for none. */
export interface CareLimits {
  /** A client gets a keepalive after this time without a write. */
  readonly keepAliveInterval: number
  /** A client is cut after this time without taking bytes. */
  readonly stallTimeout: number
  /** A stream is ended after this time. */
  readonly maxConnectionAge: number
}

/** The cohort of a client, as the client sees it. */
export interface Home {
  /** Whether its live clients have received all of their events. */
  readonly isSettled: boolean
  /** Removes a client. */
  leave(client: Follower): void
  /** `seq` of the last event id that its live clients were sent, or of an earlier one; 0 if it is not known. */
  readonly told: number
  /**
   * Makes a client live. It must have nothing left to read.
   *
   * @param told `seq` of the last event id that the client was sent
   * @returns whether it could
   */
  makeLive(client: Follower, told: number): boolean
  /** Takes a client from the live ones. @returns `seq` up to which it has received everything */
  fallBehind(client: Follower): number
  /** Number of events that a live client has yet to receive. */
  lagOf(client: Follower): number
}

/** The request of a client, for as long as the client is connected. */
export interface Scope {
  /** Runs a callback of the app in the request's own context. */
  run<Result>(callback: () => Result): Result
  /** Aborts the request's signal. */
  abort(): void
  /** The request's own logger. */
  readonly log: Logger
}

/** What all clients of a hub share. */
export interface ClientContext extends CursorContext {
  readonly counters: Counters
  readonly diagnostics: Diagnostics
  readonly overflow: 'drop-oldest' | 'disconnect'
  readonly maxEventBytes: number
  /** Whether the app closes. Clients then no longer read on when their socket drains, but in time slices (`Clients.close`). */
  isClosing: boolean
  /** Reconnection time that clients are sent, ms; undefined for none. */
  readonly retry: number | undefined
  /** Interval of keepalives that clients are told, ms; 0 for none. */
  readonly keepAlive: number
  readonly keepAlives: KeepAlives
  readonly encoder: EventEncoder
  readonly subscriptionLimits: SubscriptionLimits
  /** Clients whose streams are compressing a chunk. It may contain some that no longer are. */
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

/** What a cohort reads and counts. */
export type CohortContext = Pick<ClientContext, 'log' | 'reader' | 'counters'>

/** A log, with its readers. */
export type Source = Pick<CursorContext, 'log' | 'reader' | 'audiences' | 'queueDepth'>

/** What a client is created from. */
export interface Arrival {
  readonly ip: string | undefined
  /** The log that it reads; undefined for the hub's. */
  readonly source: Source | undefined
  readonly topics: ReadonlySet<string>
  /** Whether it is told of topics that the app adds. */
  readonly tellsSubscriptions: boolean
  /** Whether it also receives events without a topic. */
  readonly everyone: boolean
  /** The event after which its stream ends. */
  readonly until: Until | undefined
  /** Initial `client.state`. */
  readonly state: object | undefined
  readonly position: Position
  /** Whether the request had a last event id. */
  readonly resumes: boolean
  /** Its slot of the limit by address. */
  readonly slot: Slot
  /** Whether its stream is compressed by gzip. */
  readonly compressed: boolean
  readonly scope: Scope
  readonly req: Request
  readonly res: Response
}
