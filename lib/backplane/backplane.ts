import type { Transaction } from '../api/api.js'
import type { RunMark } from './run-mark.js'

/** What every message may have. */
interface Attempted {
  /** Which attempt to publish it this is, from 1. Default: 1. It tells an entry from one that an earlier attempt made. */
  readonly attempt?: number | undefined
}

/** Fields of an entry of the log, as an engine keeps them. */
export interface BackplaneEvent extends Attempted {
  readonly kind: 'event'
  /** The encoded event, but for its id line. */
  readonly body: string
  /** The event's own id, where the app gave one. */
  readonly id?: string | undefined
  readonly topic?: string | undefined
  /** Id of a client, of any process, that does not hear it. */
  readonly except?: string | undefined
  /** Whether its data was given as text. */
  readonly isText?: boolean | undefined
  /** What marks it as a piece of a run, which goes to a log of its own. */
  readonly run?: RunMark | undefined
  /** The idempotency key of the request that brought it, where there was one. */
  readonly request?: PublishRequest | undefined
}

/** What a retried request over HTTP is told by. */
export interface PublishRequest {
  readonly key: string
  /** Of the request's events. */
  readonly digest: string
  /** The place of this event among the request's, from 0, and their number. */
  readonly index: number
  readonly count: number
}

/** Says what is to be done to some clients, on all processes. */
export interface BackplaneCommand extends Attempted {
  readonly kind: 'disconnect' | 'subscribe' | 'unsubscribe' | 'send'
  /** JSON of what picks them, and of what is said beside; see `docs/backplane.md`. */
  readonly body: string
}

/** Says something of runs, beside their pieces. */
export interface BackplaneRun extends Attempted {
  readonly kind: 'run'
  /** JSON; see `docs/backplane.md`. */
  readonly body: string
}

/** Says that the log has lost entries: ids of places before this entry are good no more, on all processes. */
export interface BackplaneLoss extends Attempted {
  readonly kind: 'loss'
  /** JSON of what the process knew that has found the loss; see `docs/backplane.md`. */
  readonly body: string
}

export type BackplaneMessage = BackplaneEvent | BackplaneCommand | BackplaneRun | BackplaneLoss

/** A message that the engine has, at its place. */
export interface BackplaneEntry {
  /**
   * Its place in the engine's log: unique, without `:`, and in the engine's order by `compare`. Clients are told it with
   * a fingerprint of the entry behind it. A log that has lost its newest entries may give their cursors to others.
   */
  readonly cursor: string
  /** Tells it from all other messages ever published; one that was published twice by a retry has it twice. */
  readonly messageId: string
  /** When the engine got it, by the engine's clock: ms since 1970. */
  readonly at: number
  /** As it was read: whoever has access to the engine may have written it. The plugin checks it. */
  readonly message: BackplaneMessage
}

/** What came to be when a backplane joined its engine. */
export interface Joined {
  /** The place before the oldest entry of the history, or that of the newest where there is none. */
  readonly floor: string
  /** The newest entries of the engine, in its order. */
  readonly history: readonly BackplaneEntry[]
}

/** What a backplane tells. It is called between two turns of the app's code, never amid one. */
export interface BackplaneListener {
  /** The next entries, in the engine's order. Each exactly once, whoever published it. */
  onEntries(entries: readonly BackplaneEntry[]): void
  /**
   * Entries are lost: they left the engine before they were read here, or after. What follows begins after
   * `joined.floor`, with `joined.history` first, which may hold what was told before.
   */
  onGap(joined: Joined): void
  /**
   * The log is not the one that was read: entries are missing from it that were read here, and have not left it as its
   * oldest. The answer is to be appended before the log is read for `onGap`, so that every process learns of the loss.
   */
  onLoss(): Parcel
  /**
   * The engine holds something at `cursor` that is no message, for this reason. It is passed over; what stands around it
   * comes by `onEntries` all the same. It may be called before `join` has resolved, for what is in the history.
   */
  onForeign(cursor: string, reason: string): void
  /** The engine can be reached, or cannot any more. */
  onState(isConnected: boolean, error?: Error): void
}

/** How much of the engine's history a process keeps. */
export interface HistoryBounds {
  /** Events. */
  readonly events: number
  /** Bytes of encoded events. */
  readonly bytes: number
}

/** What a process does while its engine cannot be reached. Every implementation takes these as options. */
export interface BackplaneLimits {
  /**
   * Whether the app starts without the engine. Default: false, and `ready` fails. With true the process serves what is
   * broadcast on itself until it can join; its clients get a `resync`, reason `backplane`, when it does.
   */
  readonly optional: boolean
  /** How long an event may wait for the engine, ms. Default: 10,000. Past it `publish` rejects, and the event is lost. */
  readonly publishTimeout: number
  /** Events that may wait for the engine. Default: 10,000. Past it `publish` rejects at once, and the event is lost. */
  readonly maxPending: number
  /** Bytes of events that may wait for the engine. Default: 16 MiB. Past it as with `maxPending`. */
  readonly maxPendingBytes: number
}

/** How the backplane does. */
export interface BackplaneStats {
  /** `'redis'`, `'nats'`, or what one's own is called. */
  name: string
  /** Whether this process has joined, and its engine can be reached. */
  connected: boolean
  /** Events that wait for the engine. Gauge. */
  pending: number
  /** Events that have not got to the engine: refused, past the bound, past `publishTimeout`. */
  lost: number
  /** Entries that were passed over, since they are not of the format that this version knows. Others' entries, perhaps. */
  foreign: number
  /** How old the newest event was when it was read here, ms, by the clocks of both machines; `null` before the first. */
  lag: number | null
}

/** A message on its way to the engine. */
export interface Parcel {
  readonly messageId: string
  readonly message: BackplaneMessage
}

/**
 * Where the log lives that several processes share. An engine (Redis, NATS) keeps it, in one order for all; the
 * process's own log is its mirror.
 *
 * What an implementation guarantees:
 * - *Order*: `onEntries` gives what the engine holds, in the engine's order, from where `join` left off, and leaves
 *   nothing out without `onGap`. It survives the loss of the connection: it goes on from the last entry it gave.
 * - *A log that goes back*: before it goes on it makes sure that the entry before the next is the one that it gave last.
 *   Where it is another, or is missing and has not left as the oldest do, it appends what `onLoss` gives, reads the log
 *   anew, and calls `onGap`. `onEntries` never gives an entry twice, not even one that was away and is back.
 * - *Durable as the engine is*: `publish` resolves when the engine has the whole batch, with the entries' cursors; on
 *   rejection the engine has all of it, or none, or nobody knows. It may then be called again with the same batch: that
 *   an entry stands twice in the engine then is told by its `messageId`, and does not matter.
 * - *One batch at a time*: the caller waits for a batch before it publishes the next, so that the order of one process's
 *   messages is the order in which it published them.
 * - *Strangers*: what the engine holds and this package has not written stops nothing and changes nothing that stands
 *   around it. What can be told as a message may be told as one, whatever its fields hold: they are checked once, for all
 *   engines. What cannot is told by `onForeign`.
 * - *Close*: ends what it opened, and nothing else.
 * - *No hanging*: an engine that does not answer is left, and connected to anew; what waits for it rejects.
 *
 * What it need not do: buffer, retry, leave out what was published twice. That is done once, for all of them.
 */
export interface Backplane {
  /** For messages and figures: `redis`. */
  readonly name: string
  readonly limits: BackplaneLimits
  /**
   * Connects, reads the newest history within the bounds, and goes on from there. Rejects where the engine cannot be
   * reached or used, with an error that names it; it can be called again then.
   */
  join(bounds: HistoryBounds, listener: BackplaneListener): Promise<Joined>
  /** Appends a batch. Rejects with BackplaneRefusedError where the engine will not have it, however often it is asked. */
  publish(batch: readonly Parcel[]): Promise<readonly string[]>
  /**
   * Appends an event as a part of a transaction of the app's, which commits or does not. Optional: an engine that is the
   * app's database may have it. Rejects with what the transaction's client says.
   */
  publishWithin?(transaction: Transaction, event: BackplaneEvent): Promise<void>
  /** Whether a cursor is of this engine's log. Negative, zero or positive as the first is before, at or after the second. */
  compare(a: string, b: string): number | undefined
  /** Leaves. Resolves when what it opened is closed. */
  close(): Promise<void>
}
