// The contract between the plugin and an engine: interfaces only. The tests that an engine has to pass are in contract/.

import type { Transaction } from '../api/api.js'
import type { RunMark } from './run-message.js'

/** A field that every message may have. */
interface Attempted {
  /** Number of the attempt to publish the message, from 1. Default: 1. It tells apart entries of several attempts. */
  readonly attempt?: number | undefined
}

/** An event, as the engine stores it. */
export interface BackplaneEvent extends Attempted {
  readonly kind: 'event'
  /** The encoded event without its id line. */
  readonly body: string
  /** The event's own id, if the app gave one. */
  readonly id?: string | undefined
  readonly topic?: string | undefined
  /** Id of a client, of any process, that does not receive the event. */
  readonly except?: string | undefined
  /** Whether the app gave its data as text. */
  readonly isText?: boolean | undefined
  /** Marks the event as a piece of a run, which has its own log. */
  readonly run?: RunMark | undefined
  /** The idempotency key of the request that published it, if there was one. */
  readonly request?: PublishRequest | undefined
}

/** Identifies an event of an HTTP request that may be retried. */
export interface PublishRequest {
  readonly key: string
  /** Digest of the request's events. */
  readonly digest: string
  /** Index of this event in the request, from 0, and the number of its events. */
  readonly index: number
  readonly count: number
}

/** A command for clients, on all processes. */
export interface BackplaneCommand extends Attempted {
  readonly kind: 'disconnect' | 'subscribe' | 'unsubscribe' | 'send'
  /** JSON: the selector and the command's options; see `docs/backplane.md`. */
  readonly body: string
}

/** A message about runs. Their pieces are events. */
export interface BackplaneRun extends Attempted {
  readonly kind: 'run'
  /** JSON; see `docs/backplane.md`. */
  readonly body: string
}

/** Reports that the log has lost entries. Ids of places before this entry are no longer valid, on any process. */
export interface BackplaneLoss extends Attempted {
  readonly kind: 'loss'
  /** JSON: what the process that found the loss had read; see `docs/backplane.md`. */
  readonly body: string
}

export type BackplaneMessage = BackplaneEvent | BackplaneCommand | BackplaneRun | BackplaneLoss

/** A message that the engine has stored, with its place in the log. */
export interface BackplaneEntry {
  /**
   * Its place in the engine's log: unique, without `:`, and in the engine's order by `compare`. Clients get it with a
   * fingerprint of the entry appended, since a log that has lost its newest entries may reuse their cursors.
   */
  readonly cursor: string
  /** Unique among all messages ever published. A message that a retry has published twice has the same one in both entries. */
  readonly messageId: string
  /** When the engine stored it, by the engine's clock: ms since 1970. */
  readonly at: number
  /** The message as it was read, unchecked: any program with access to the engine may have written it. The plugin checks it. */
  readonly message: BackplaneMessage
}

/** What a backplane has read when it has joined its engine. */
export interface Joined {
  /** The place before the oldest entry of the history; the newest place if the history is empty. */
  readonly floor: string
  /** The newest entries of the engine, in order. */
  readonly history: readonly BackplaneEntry[]
}

/** Callbacks of a backplane to the plugin. They are never called synchronously within a call of the plugin. */
export interface BackplaneListener {
  /** Called with the next entries, in the engine's order. Each entry comes exactly once, also those of this process. */
  onEntries(entries: readonly BackplaneEntry[]): void
  /**
   * Called when entries are missing: they left the engine before this process read them, or the engine has lost them.
   * The log continues after `joined.floor`, first with `joined.history`, which may repeat entries.
   */
  onGap(joined: Joined): void
  /**
   * Called when entries that were read are missing from the log, and not because it was trimmed. The backplane appends
   * the returned message before it reads the log for `onGap`, so that every process learns of the loss.
   */
  onLoss(): Parcel
  /**
   * Called when the entry at `cursor` is not a message, for this reason. The entry is skipped; those around it come by
   * `onEntries`. It may be called before `join` has resolved, for entries of the history.
   */
  onForeign(cursor: string, reason: string): void
  /** Called when the connection to the engine is there, or is lost. */
  onState(isConnected: boolean, error?: Error): void
}

/** How much of the engine's history a process loads. */
export interface HistoryBounds {
  /** Events. */
  readonly events: number
  /** Bytes of encoded events. */
  readonly bytes: number
}

/** What a process does while it cannot reach its engine. Every engine takes these as options. */
export interface BackplaneLimits {
  /**
   * Whether the app starts without the engine. Default: false, and `ready` fails. With true, clients get the events of
   * their own process until it can join; then they get a `resync`, reason `backplane`.
   */
  readonly optional: boolean
  /** How long an event may wait for the engine, ms. Default: 10,000. After that `publish` rejects, and the event is lost. */
  readonly publishTimeout: number
  /** Events that may wait for the engine. Default: 10,000. Over the limit `publish` rejects at once, and the event is lost. */
  readonly maxPending: number
  /** Bytes of events that may wait for the engine. Default: 16 MiB. Over the limit as with `maxPending`. */
  readonly maxPendingBytes: number
}

/** Statistics of the backplane. */
export interface BackplaneStats {
  /** `'redis'`, `'nats'`, `'postgres'`, or the name of another backplane. */
  name: string
  /** Whether this process has joined, and is connected to the engine. */
  connected: boolean
  /** Events that wait for the engine. Gauge. */
  pending: number
  /** Events that were not published: refused, over a limit, or after `publishTimeout`. Counter. */
  lost: number
  /** Entries that were skipped, since they do not have the format that this version knows. Counter. */
  foreign: number
  /** Age of the newest event when this process read it, ms, by the clocks of both machines; `null` before the first one. */
  lag: number | null
}

/** A message that is being published. */
export interface Parcel {
  readonly messageId: string
  readonly message: BackplaneMessage
}

/**
 * A connection to the log that several processes share. An engine (Redis, NATS, Postgres) keeps that log, in one order for
 * all; the log of each process mirrors it.
 *
 * What an implementation guarantees:
 * - *Order*: `onEntries` passes on what the engine holds, in the engine's order, from where `join` left off. It leaves
 *   nothing out without `onGap`. After a lost connection it continues behind the last entry.
 * - *A log that goes back*: before it continues, it makes sure that the entry before the next one is the one that it passed
 *   on last. If that is another entry, or is missing and was not trimmed, it appends the message of `onLoss`, reads the log
 *   anew, and calls `onGap`. `onEntries` never passes an entry on twice, not even one that was missing and is back.
 * - *Durable as the engine is*: `publish` resolves once the engine has the whole batch, with the entries' cursors. If it
 *   rejects, the engine has all of the batch, or none of it, or nobody knows. It may then be called again with the same
 *   batch: readers recognise an entry that was stored twice by its `messageId`.
 * - *One batch at a time*: the caller waits for a batch before it publishes the next one, so that the messages of one
 *   process stay in order.
 * - *Foreign entries*: an entry that this package has not written stops nothing, and changes nothing around it. If it can
 *   be decoded as a message, the backplane may pass it on, whatever its fields hold: the plugin checks them for all engines.
 *   Otherwise the backplane calls `onForeign`.
 * - *Close*: closes what it opened, and nothing else.
 * - *No hanging*: if the engine does not answer, the backplane connects anew, and calls that wait for the engine reject.
 *
 * It need not buffer, retry, or recognise duplicates: the plugin does that for all engines.
 */
export interface Backplane {
  /** For messages and figures: `redis`. */
  readonly name: string
  readonly limits: BackplaneLimits
  /**
   * Connects, reads the newest history within the bounds, and continues from there. Rejects if the engine cannot be
   * reached or used, with an error that names it. It can then be called again.
   */
  join(bounds: HistoryBounds, listener: BackplaneListener): Promise<Joined>
  /** Appends a batch. Rejects with BackplaneRefusedError if the engine refuses it and would do so again. */
  publish(batch: readonly Parcel[]): Promise<readonly string[]>
  /**
   * Appends an event within a transaction of the app, which may commit or not. Optional: for engines that are also the
   * app's database. Rejects with the error of the transaction's client.
   */
  publishWithin?(transaction: Transaction, event: BackplaneEvent): Promise<void>
  /** Compares two cursors: negative, zero or positive. Undefined if one of them is not of this engine's log. */
  compare(a: string, b: string): number | undefined
  /** Leaves the engine. Resolves once everything that the backplane opened is closed. */
  close(): Promise<void>
}
