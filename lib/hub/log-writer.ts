// Appends events to the hub's log, and wakes the clients and long polls that receive them. Which events are accepted is
// decided in broadcaster.ts; with a backplane, the engine decides their order (backplane/mirror.ts).

import type { Diagnostics } from '../api/diagnostics.js'
import type { BackplaneEvent } from '../backplane/backplane.js'
import type { Audiences } from '../log/audience.js'
import type { CompareCursors } from '../log/engine-cursors.js'
import type { EventLog } from '../log/event-log.js'
import type { LogEntry } from '../log/log-entry.js'
import type { Clients } from './clients/clients.js'
import type { Counters } from './clients/counters.js'
import type { FlushQueue } from './clients/flush-queue.js'
import type { LongPolls } from './clients/long-polls.js'

/** The parts of a hub that an event passes through. */
export interface LogWriterContext {
  readonly log: EventLog
  readonly audiences: Audiences
  readonly clients: Clients
  readonly flushes: FlushQueue
  readonly longPolls: LongPolls
  readonly counters: Counters
  readonly diagnostics: Diagnostics
}

/** Writes to the log of this process. Hot: every event passes through `append`. */
export class LogWriter {
  readonly #log: EventLog
  readonly #audiences: Audiences
  readonly #clients: Clients
  readonly #flushes: FlushQueue
  readonly #longPolls: LongPolls
  readonly #counters: Counters
  readonly #diagnostics: Diagnostics
  /** Whether the log has started anew: clients are offered nothing until they have skipped the gap. */
  #isInGap = false

  constructor({ log, audiences, clients, flushes, longPolls, counters, diagnostics }: LogWriterContext) {
    this.#log = log
    this.#audiences = audiences
    this.#clients = clients
    this.#flushes = flushes
    this.#longPolls = longPolls
    this.#counters = counters
    this.#diagnostics = diagnostics
  }

  /**
   * Appends an event, and requests a flush of the clients that receive it. Runs no code of the app: it could
   * broadcast, and that event would take the place of this one.
   */
  append(event: BackplaneEvent, cursor?: string): LogEntry {
    const { body, id, topic, except } = event
    const bytes = Buffer.byteLength(body)
    // A burst larger than the log would evict events that no client has been offered: clients are flushed first.
    if (!this.#isInGap && (!this.#flushes.isIdle || this.#clients.isBusy)) {
      const leaving = this.#log.oldestAfter(this.#log.sizeOf(bytes, event, id ?? cursor)) - 1
      this.#flushes.hurry(leaving)
      this.#clients.hurry(leaving)
    }
    const entry = this.#log.append(body, event, cursor, bytes)
    this.#counters.events++
    this.#diagnostics.publish(entry, body)
    if (except !== undefined) this.#clients.spare(except, entry)
    if (topic === undefined) {
      for (const shard of this.#clients.shards) shard.touchAll()
      this.#longPolls.wakeTopicless()
    } else {
      for (const audience of this.#audiences.of(topic)) audience.hear(entry)
    }
    return entry
  }

  /** Starts the log anew, after the cursor `floor`. Clients are offered nothing until `skipGap`. */
  rebase(floor: string, compare: CompareCursors): void {
    // What was read until now is offered before it is dropped.
    if (!this.#isInGap) this.#flushes.hurry(this.#log.head)
    this.#isInGap = true
    this.#log.rebase(floor, compare)
  }

  /** Lets clients go on after the gap that `rebase` has left, and tells them of it. */
  skipGap(): void {
    this.#isInGap = false
    this.#clients.skipGap()
    this.#longPolls.wakeAll()
  }
}
