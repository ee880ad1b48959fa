// One connection for several tabs: which tab leads, and what the others do. What the leader does is in leading-tab.ts.

import { Connection } from './connection.js'
import { environment } from './environment.js'
import { LeadingTab, type OpenConnection } from './leading-tab.js'
import type { Address, Link, Sink } from './link.js'
import { Membership } from './membership.js'
import type { ConnectionOptions } from './options.js'
import type { ConnectionStatus } from './status.js'
import { TabEvents } from './tab-events.js'
import type { Message } from './tab-message.js'

/** Number of checks without an answer after which a tab takes over from the leader. */
const MAX_CHECKS = 3

/** Joins the tabs that share a connection. @throws DOMException if the browser forbids locks */
export async function openShared(
  url: Address,
  options: ConnectionOptions,
  sink: Sink,
  topics: ReadonlySet<string>,
  key: string
): Promise<Link> {
  await environment.navigator!.locks!.query()
  return new SharedConnection(url, options, sink, topics, key)
}

/**
 * A tab's part of the shared connection. Each tab holds a lock whose name lists its topics. The tab that holds the leader's lock has the
 * connection, and passes events on. When it goes, the browser gives that lock to another tab, which resumes after the last event that it
 * has received itself. Tabs that are behind get the missing events from it, and tabs that are ahead drop the events that they know.
 */
class SharedConnection implements Link {
  clientId: string | undefined
  readonly #sink: Sink
  readonly #events: TabEvents
  readonly #membership: Membership
  readonly #open: OpenConnection
  /** What this tab does as the leader. Undefined in the other tabs. */
  #leading: LeadingTab | undefined
  /** The id of the leading tab, if known. */
  #leaderId: string | undefined
  /** Whether it receives the events of the current leader. */
  #hasJoined = false
  #isClosed = false
  /** Checks since the leader has last sent a message. */
  #checks = 0

  constructor(url: Address, options: ConnectionOptions, sink: Sink, topics: ReadonlySet<string>, key: string) {
    this.#sink = sink
    this.#events = new TabEvents(options.lastEventId, sink, topics)
    this.#open = (receive, tell, topicsOfAll) => {
      const { lastEventId } = this.#events
      const own = { ...options, lastEventId, pauseWhenHidden: false }
      return new Connection(url, own, { ...sink, receive, tell }, topicsOfAll, 'subscriptions')
    }
    this.#membership = new Membership(key, topics, {
      receive: (message) => this.#receive(message),
      announced: () => this.#announced(),
      lead: (signal) => this.#lead(signal),
      deposed: () => {
        this.#stepDown()
        this.#announced()
      },
      left: () => this.#stepDown(),
      check: () => this.#check()
    })
  }

  /** The topics of this tab have changed. */
  restart(): void {
    void this.#membership.announce()
  }

  close(): void {
    if (this.#isClosed) return
    this.#end()
    this.#sink.tell({ state: 'closed', reason: 'closed', error: undefined })
  }

  #announced(): void {
    if (this.#leading === undefined) this.#sayHello()
    else void this.#leading.updateTopics()
  }

  #sayHello(): void {
    this.#membership.send({ is: 'hello', cursor: this.#events.lastEventId })
  }

  async #lead(signal: AbortSignal): Promise<void> {
    const topics = await this.#membership.topicsOfAll()
    if (signal.aborted) return
    this.#leaderId = this.#membership.id
    this.#membership.send({ is: 'leader' })
    this.#leading = new LeadingTab(topics, this.#membership, this.#events, this.#open, (status, clientId) =>
      this.#take(status, clientId, 'leader')
    )
  }

  #stepDown(): void {
    const leading = this.#leading
    this.#leading = undefined
    this.#hasJoined = false
    this.#leaderId = undefined
    this.#checks = 0
    leading?.close()
  }

  #end(): void {
    this.#isClosed = true
    this.#membership.end()
  }

  #receive(message: Message): void {
    const { from } = message
    const isFromLeader = from === this.#leaderId
    if (isFromLeader) this.#checks = 0
    this.#leading?.receive(message)
    if (message.is === 'leader') {
      this.#leaderId = from
      this.#hasJoined = false
      this.#sayHello()
    } else if (message.is === 'joined' && message.to === this.#membership.id && this.#leading === undefined) {
      const { cursor, tail, transport, clientId } = message
      this.#leaderId = from
      this.#take({ state: 'open', transport }, clientId, 'follower')
      this.#hasJoined = true
      this.#events.join(cursor, tail)
    } else if (isFromLeader && message.is === 'event' && this.#hasJoined) {
      this.#events.take(message)
    } else if (isFromLeader && message.is === 'status') {
      this.#take(message.status, message.clientId, 'follower')
    }
  }

  /** Gives the status of the connection to the client. What ends the connection ends it for all tabs. */
  #take(status: ConnectionStatus, clientId: string | undefined, role: 'leader' | 'follower'): void {
    this.clientId = clientId
    if (status.state === 'closed') this.#end()
    this.#sink.tell(status.state === 'open' ? { ...status, role } : status)
  }

  /** Checks on the leader: a tab that was frozen keeps its lock, and answers nothing. */
  #check(): void {
    if (this.#leading !== undefined) return
    this.#checks++
    this.#membership.send({ is: 'ping' })
    if (this.#checks <= MAX_CHECKS) return
    this.#checks = 0
    this.#membership.takeLead()
  }
}
