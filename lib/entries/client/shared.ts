import { Connection } from './connection.js'
import { environment } from './environment.js'
import type { SseEvent } from './event.js'
import type { Address, Link, Sink } from './link.js'
import { matches } from './match.js'
import { Membership } from './membership.js'
import type { ConnectionOptions } from './options.js'
import { RecentEvents } from './recent-events.js'
import type { ConnectionStatus, Transport } from './status.js'
import type { Message, Shared, Told } from './tab-message.js'

/** After how many looks in vain a tab takes over from the one that leads. */
const MAX_LOOKS = 3

/** Joins the tabs that share a connection. @throws what the browser does where it forbids locks */
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
 * One connection for all tabs. Each tab holds a lock that tells its topics; who holds the leading one has the connection, and tells
 * the others what comes. When it goes, the browser gives that lock to another tab, which goes on from where it is itself: tabs
 * that have had fewer events get the rest from it, and tabs that have had more leave out what they know.
 */
class SharedConnection implements Link {
  lastEventId: string | undefined
  clientId: string | undefined
  readonly #url: Address
  readonly #options: ConnectionOptions
  readonly #sink: Sink
  readonly #topics: ReadonlySet<string>
  readonly #membership: Membership
  readonly #recent = new RecentEvents()
  /** The topics of all tabs, where it leads. */
  readonly #union = new Set<string>()
  /** Who waits to be let in, and what they have had, where it leads. */
  readonly #waiting = new Map<string, string | undefined>()
  #own: Connection | undefined
  #isOpen = false
  /** How its own connection gets events. */
  #transport: Transport = 'stream'
  #leader: string | undefined
  #hasJoined = false
  #hasEverJoined = false
  #isClosed = false
  #looks = 0

  constructor(url: Address, options: ConnectionOptions, sink: Sink, topics: ReadonlySet<string>, key: string) {
    this.#url = url
    this.#options = options
    this.#sink = sink
    this.#topics = topics
    this.lastEventId = options.lastEventId
    this.#membership = new Membership(key, topics, {
      hear: (message) => this.#hear(message),
      announced: () => this.#announced(),
      lead: (signal) => this.#lead(signal),
      deposed: () => {
        this.#stepDown()
        this.#announced()
      },
      left: () => this.#stepDown(),
      look: () => this.#look()
    })
  }

  /** Its topics have changed. */
  restart(): void {
    void this.#membership.announce()
  }

  close(): void {
    if (this.#isClosed) return
    this.#end()
    this.#sink.tell({ state: 'closed', reason: 'closed', error: undefined })
  }

  #announced(): void {
    if (this.#own === undefined) this.#tell({ is: 'hello', cursor: this.lastEventId })
    else void this.#unite()
  }

  async #lead(signal: AbortSignal): Promise<void> {
    await this.#unite()
    if (signal.aborted) return
    this.#leader = this.#membership.id
    this.#waiting.clear()
    this.#tell({ is: 'leader' })
    const { lastEventId } = this
    const sink: Sink = {
      receive: (event) => {
        if (this.#own === own) this.#pass(event)
      },
      room: () => this.#sink.room(),
      tell: (status) => {
        if (this.#own === own) this.#share(status)
      },
      fail: (error) => this.#sink.fail(error)
    }
    const options = { ...this.#options, lastEventId, pauseWhenHidden: false }
    const own = new Connection(this.#url, options, sink, this.#union, true)
    this.#own = own
  }

  #stepDown(): void {
    const own = this.#own
    this.#own = undefined
    this.#isOpen = false
    this.#hasJoined = false
    this.#leader = undefined
    this.#looks = 0
    own?.close()
  }

  /** Asks the browser for the topics of all tabs, and hears those that are new. */
  async #unite(): Promise<void> {
    const topics = await this.#membership.topicsOfAll()
    // A topic of a tab that has gone, and comes back, is still heard unless it has connected anew meanwhile.
    const isHeard = (topic: string) => this.#union.has(topic) || this.#own?.asked.has(topic)
    const hasGrown = [...topics].some((topic) => !isHeard(topic))
    this.#union.clear()
    for (const topic of topics) this.#union.add(topic)
    if (this.#own === undefined) return
    if (hasGrown) {
      // What has come until now holds nothing of the new topics.
      this.#recent.clear()
      if (this.lastEventId !== undefined) this.#begin(this.lastEventId)
      this.#isOpen = false
      this.#own.restart()
    }
    this.#letIn()
  }

  /** An event of its own connection. */
  #pass(event: SseEvent): void {
    // Not with `connected` alone: pages whose cursor has gone begin with a resync.
    this.#isOpen = true
    if (event.event === 'connected') {
      if (!this.#hasEverJoined) {
        this.#hasJoined = this.#hasEverJoined = true
        this.#sink.receive(event)
      }
      if (this.lastEventId === undefined && event.id !== undefined) this.#begin(event.id)
    } else {
      const { topic } = event
      // What the server gives of itself is for all tabs, though one of them has asked for it, too.
      const { asked, given } = this.#own!
      const isAsked = topic !== undefined && matches(asked, topic) && !matches(given, topic)
      this.#tell({ is: 'event', event, isAsked })
      this.#take({ event, isAsked })
    }
    this.#letIn()
  }

  #share(status: ConnectionStatus): void {
    const { clientId } = this.#own!
    this.clientId = clientId
    if (status.state === 'open') this.#transport = status.transport
    const hasError = 'error' in status && status.error !== undefined
    // Not all that is thrown can be sent.
    this.#tell({
      is: 'status',
      status: hasError ? { ...status, error: new Error(String(status.error)) } : status,
      clientId
    })
    if (status.state === 'closed') this.#end()
    this.#sink.tell(status.state === 'open' ? { ...status, role: 'leader' } : status)
  }

  /** Begins at a cursor, which others may have as their last one. */
  #begin(id: string): void {
    this.lastEventId = id
    this.#recent.begin(id)
  }

  #end(): void {
    this.#isClosed = true
    this.#membership.end()
  }

  /** Lets those in that wait, once it is known where they begin. */
  #letIn(): void {
    const cursor = this.lastEventId
    if (!this.#isOpen || cursor === undefined) return
    for (const [to, had] of this.#waiting) {
      const isNew = had === undefined || had === cursor
      const tail = isNew ? [] : this.#recent.after(had)
      this.#tell({ is: 'joined', to, cursor, tail, transport: this.#transport, clientId: this.clientId })
    }
    this.#waiting.clear()
  }

  #hear(message: Message): void {
    const { from } = message
    if (from === this.#leader) this.#looks = 0
    if (message.is === 'leader') {
      this.#leader = from
      this.#hasJoined = false
      this.#tell({ is: 'hello', cursor: this.lastEventId })
    } else if (message.is === 'hello' && this.#own !== undefined) {
      this.#waiting.set(from, message.cursor)
      void this.#unite()
    } else if (message.is === 'bye' && this.#own !== undefined) {
      void this.#unite()
    } else if (message.is === 'ping' && this.#own !== undefined) {
      this.#tell({ is: 'pong' })
    } else if (message.is === 'joined' && message.to === this.#membership.id && this.#own === undefined) {
      this.#leader = from
      this.#join(message)
    } else if (from === this.#leader && message.is === 'event' && this.#hasJoined) {
      this.#take(message)
    } else if (from === this.#leader && message.is === 'status') {
      this.#follow(message.status, message.clientId)
    }
  }

  #join({ cursor, tail, transport, clientId }: Extract<Message, { is: 'joined' }>): void {
    const common = { id: cursor, topic: undefined }
    const isAhead = this.#recent.has(cursor)
    this.#follow({ state: 'open', transport }, clientId)
    this.#hasJoined = true
    if (!this.#hasEverJoined && (tail !== undefined || this.lastEventId === undefined)) {
      this.#sink.receive({ ...common, event: 'connected', data: {} })
    }
    this.#hasEverJoined = true
    if (tail === undefined && !isAhead) {
      // What follows is told in full: who leads may be behind, and what it knew of that would be left out amid the rest.
      this.#recent.clear()
      this.#begin(cursor)
      this.#sink.receive({ ...common, event: 'resync', data: { reason: 'unknown', missed: null } })
    } else if (tail !== undefined) {
      if (this.lastEventId === undefined) this.#begin(cursor)
      for (const shared of tail) this.#take(shared)
    }
  }

  /** Gives an event out that it has not had, if it is one of its own. */
  #take(shared: Shared): void {
    const { event, isAsked } = shared
    const { id, topic } = event
    if (id !== undefined) {
      /* c8 ignore next: the id of a resync may be known already, if the log has stood still */
      if (this.#recent.has(id) && event.event !== 'resync') return
      this.#recent.add(id, shared)
      this.lastEventId = id
    }
    const isOwn = !isAsked || topic === undefined || matches(this.#topics, topic)
    // The id counts in any case.
    this.#sink.receive(isOwn ? event : { event: 'keepalive', id, topic: undefined, data: {} })
  }

  #follow(status: ConnectionStatus, clientId: string | undefined): void {
    this.clientId = clientId
    /* c8 ignore next: what ends it ends it for all tabs; one that gets the lead before it hears so, asks and ends itself */
    if (status.state === 'closed') this.#end()
    this.#sink.tell(status.state === 'open' ? { ...status, role: 'follower' } : status)
  }

  /** A tab that neither goes nor answers has been frozen without a word, say. */
  #look(): void {
    if (this.#own !== undefined) return
    this.#looks++
    this.#tell({ is: 'ping' })
    if (this.#looks <= MAX_LOOKS) return
    this.#looks = 0
    this.#membership.takeLead()
  }

  #tell(told: Told): void {
    this.#membership.tell(told)
  }
}
