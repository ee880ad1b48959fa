// The events that a tab receives over a shared connection, whether it leads or not.

import { keepalive, resyncEvent, type SseEvent } from './event.js'
import type { Sink } from './link.js'
import { matches } from './match.js'
import { RecentEvents } from './recent-events.js'
import type { Shared } from './tab-message.js'

/** Gives each event to the client once, in order, and knows which was the last. */
export class TabEvents {
  lastEventId: string | undefined
  readonly recent = new RecentEvents()
  readonly #sink: Sink
  readonly #topics: ReadonlySet<string>
  /** Whether it has given `connected` to the client, which comes once. */
  #hasConnected = false

  /** @param topics the topics of this tab */
  constructor(lastEventId: string | undefined, sink: Sink, topics: ReadonlySet<string>) {
    this.lastEventId = lastEventId
    this.#sink = sink
    this.#topics = topics
  }

  /** Sets the last event id anew, and drops the recent events. */
  begin(id: string): void {
    this.lastEventId = id
    this.recent.begin(id)
  }

  /** Takes the `connected` of the leader's connection. */
  connect(event: SseEvent): void {
    if (!this.#hasConnected) {
      this.#hasConnected = true
      this.#sink.receive(event)
    }
    if (this.lastEventId === undefined && event.id !== undefined) this.begin(event.id)
  }

  /** Takes the leader's answer to `hello`: what this tab has missed, and where the leader is. */
  join(cursor: string, tail: Shared[] | undefined): void {
    const isAhead = this.recent.has(cursor)
    if (!this.#hasConnected && (tail !== undefined || this.lastEventId === undefined)) {
      this.#sink.receive({ event: 'connected', id: cursor, topic: undefined, data: {} })
    }
    this.#hasConnected = true
    if (tail !== undefined) {
      if (this.lastEventId === undefined) this.begin(cursor)
      for (const shared of tail) this.take(shared)
    } else if (!isAhead) {
      // The leader may be behind, and send events again that are known here. After a resync all of them are given.
      this.begin(cursor)
      this.#sink.receive(resyncEvent('unknown', null, cursor))
    }
  }

  /** Gives an event to the client unless it is known. For a topic of other tabs only the id is given. */
  take(shared: Shared): void {
    const { event, isAsked } = shared
    const { id, topic } = event
    if (id !== undefined) {
      /* c8 ignore next: the id of a resync may be known already, if the log has stood still */
      if (this.recent.has(id) && event.event !== 'resync') return
      this.recent.add(id, shared)
      this.lastEventId = id
    }
    const isOwn = !isAsked || topic === undefined || matches(this.#topics, topic)
    this.#sink.receive(isOwn ? event : keepalive(id))
  }
}
