// The leader of the tabs that share a connection: it has the connection, and passes on what comes. Which tab leads is in shared.ts.

import type { Connection } from './connection.js'
import type { SseEvent } from './event.js'
import type { Sink } from './link.js'
import { matches } from './match.js'
import type { Membership } from './membership.js'
import type { ConnectionStatus, Transport } from './status.js'
import type { TabEvents } from './tab-events.js'
import type { Message } from './tab-message.js'

/** Opens the connection for all tabs, which begins after the last event of this one. */
export type OpenConnection = (
  receive: Sink['receive'],
  tell: Sink['tell'],
  topicsOfAll: ReadonlySet<string>
) => Connection

/** What a tab does while it is the leader, until it is closed. */
export class LeadingTab {
  /** The topics of all tabs. */
  readonly #topics: Set<string>
  readonly #membership: Membership
  readonly #events: TabEvents
  readonly #onStatus: (status: ConnectionStatus, clientId: string | undefined) => void
  /** The ids of tabs that wait to join, with their last event ids. */
  readonly #waiting = new Map<string, string | undefined>()
  /** Undefined after `close`. */
  #connection: Connection | undefined
  /** Whether the connection is open, and has all topics. */
  #isOpen = false
  /** How the connection gets events. */
  #transport: Transport = 'stream'

  constructor(
    topics: Set<string>,
    membership: Membership,
    events: TabEvents,
    open: OpenConnection,
    onStatus: (status: ConnectionStatus, clientId: string | undefined) => void
  ) {
    this.#topics = topics
    this.#membership = membership
    this.#events = events
    this.#onStatus = onStatus
    // A listener may close this while the connection passes on what it has received.
    this.#connection = open(
      (event) => {
        if (this.#connection !== undefined) this.#pass(event, this.#connection)
      },
      (status) => {
        if (this.#connection !== undefined) this.#share(status, this.#connection)
      },
      topics
    )
  }

  /** The tab leads no more, or leaves. */
  close(): void {
    const connection = this.#connection
    this.#connection = undefined
    connection?.close()
  }

  /** Answers a message of another tab. */
  receive(message: Message): void {
    if (message.is === 'ping') this.#membership.send({ is: 'pong' })
    else if (message.is === 'hello') this.#waiting.set(message.from, message.cursor)
    if (message.is === 'hello' || message.is === 'bye') void this.updateTopics()
  }

  /** Reads the topics of all tabs, and subscribes to the new ones. */
  async updateTopics(): Promise<void> {
    const topics = await this.#membership.topicsOfAll()
    if (this.#connection !== undefined) this.#subscribe(topics, this.#connection)
  }

  #subscribe(topics: Set<string>, connection: Connection): void {
    // The topics of a tab that has gone stay subscribed until the next connection.
    const isSubscribed = (topic: string) => this.#topics.has(topic) || connection.subscriptions.asked.has(topic)
    const hasGrown = [...topics].some((topic) => !isSubscribed(topic))
    this.#topics.clear()
    for (const topic of topics) this.#topics.add(topic)
    if (hasGrown) {
      // The recent events have none of the new topics.
      const { lastEventId } = this.#events
      if (lastEventId !== undefined) this.#events.begin(lastEventId)
      this.#isOpen = false
      connection.restart()
    }
    this.#letIn(connection)
  }

  /** Gives an event of the connection to this tab and the others. */
  #pass(event: SseEvent, connection: Connection): void {
    // Not only for `connected`: pages begin with a resync if the log no longer has the last event.
    this.#isOpen = true
    if (event.event === 'connected') this.#events.connect(event)
    else {
      const { topic } = event
      // What the server subscribes the client to is for all tabs, even if one of them has requested the topic.
      const { asked, given } = connection.subscriptions
      const isAsked = topic !== undefined && matches(asked, topic) && !matches(given, topic)
      this.#membership.send({ is: 'event', event, isAsked })
      this.#events.take({ event, isAsked })
    }
    this.#letIn(connection)
  }

  /** Gives the status of the connection to this tab and the others. */
  #share(status: ConnectionStatus, { clientId }: Connection): void {
    if (status.state === 'open') this.#transport = status.transport
    const hasError = 'error' in status && status.error !== undefined
    // Not every error can be cloned for another tab.
    const shared = hasError ? { ...status, error: new Error(String(status.error)) } : status
    this.#membership.send({ is: 'status', status: shared, clientId })
    this.#onStatus(status, clientId)
  }

  /** Lets the waiting tabs join, once it is known after which event they begin. */
  #letIn({ clientId }: Connection): void {
    const { lastEventId: cursor, recent } = this.#events
    if (!this.#isOpen || cursor === undefined) return
    for (const [to, had] of this.#waiting) {
      const isNew = had === undefined || had === cursor
      const tail = isNew ? [] : recent.after(had)
      this.#membership.send({ is: 'joined', to, cursor, tail, transport: this.#transport, clientId })
    }
    this.#waiting.clear()
  }
}
