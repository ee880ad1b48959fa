import { Connection } from './connection.js'
import { type Channel, environment, type Locks } from './environment.js'
import type { SseEvent } from './event.js'
import type { Address, Link, Sink } from './link.js'
import { matches } from './match.js'
import type { ConnectionOptions } from './options.js'
import { RecentEvents } from './recent-events.js'
import type { ConnectionStatus } from './status.js'
import type { Message, Shared, Told } from './tab-message.js'

/** How often a tab looks whether the leading one still answers, ms; after how many looks in vain it takes over. */
const LOOK_EVERY = 3000
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
  readonly #id = Math.random().toString(36).slice(2)
  readonly #url: Address
  readonly #options: ConnectionOptions
  readonly #sink: Sink
  readonly #topics: ReadonlySet<string>
  readonly #key: string
  readonly #locks: Locks
  readonly #recent = new RecentEvents()
  /** The topics of all tabs, where it leads. */
  readonly #union = new Set<string>()
  /** Who waits to be let in, and what they have had, where it leads. */
  readonly #waiting = new Map<string, string | undefined>()
  #channel: Channel | undefined
  /** Aborts when it leaves the others. */
  #stay = new AbortController()
  #own: Connection | undefined
  #isOpen = false
  #leader: string | undefined
  #hasJoined = false
  #hasEverJoined = false
  #isClosed = false
  #looks = 0
  #timer: ReturnType<typeof setInterval> | undefined
  #releaseTab = () => {}

  constructor(url: Address, options: ConnectionOptions, sink: Sink, topics: ReadonlySet<string>, key: string) {
    this.#url = url
    this.#options = options
    this.#sink = sink
    this.#topics = topics
    this.#key = key
    this.#locks = environment.navigator!.locks!
    this.lastEventId = options.lastEventId
    this.#listen('addEventListener')
    void this.#enter()
  }

  /** Its topics have changed. */
  restart(): void {
    void this.#announce()
  }

  close(): void {
    if (this.#isClosed) return
    this.#end()
    this.#sink.tell({ state: 'closed', reason: 'closed', error: undefined })
  }

  #listen(method: 'addEventListener' | 'removeEventListener'): void {
    const { document } = environment
    /* c8 ignore next 5: a worker, in part */
    environment[method]?.('pagehide', this.#leave)
    environment[method]?.('pageshow', this.#comeBack)
    document?.[method]?.('freeze', this.#leave)
    document?.[method]?.('resume', this.#comeBack)
  }

  async #enter(): Promise<void> {
    this.#stay = new AbortController()
    const { signal } = this.#stay
    const channel = new environment.BroadcastChannel!(this.#key)
    this.#channel = channel
    channel.onmessage = ({ data }) => this.#hear(data)
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY)
    this.#looks = 0
    await this.#announce()
    if (!signal.aborted) this.#seekLead(signal, { signal })
  }

  /** Before the page is put aside: it would hold the lock, and answer nobody. */
  readonly #leave = (): void => {
    this.#tell({ is: 'bye' })
    this.#stay.abort()
    clearInterval(this.#timer)
    this.#channel?.close()
    this.#channel = undefined
    this.#stepDown()
    this.#releaseTab()
  }

  readonly #comeBack = (): void => {
    if (this.#channel === undefined && !this.#isClosed) void this.#enter()
  }

  /** Holds a lock whose name tells its topics, and then says so. */
  async #announce(): Promise<void> {
    const { signal } = this.#stay
    const releaseOld = this.#releaseTab
    const name = `${this.#key} tab ${JSON.stringify([this.#id, ...this.#topics])}`
    await new Promise<void>((held) => {
      const holding = this.#locks.request(name, { signal }, () => {
        held()
        return new Promise((release) => {
          this.#releaseTab = release
        })
      })
      holding.catch(() => held())
    })
    releaseOld()
    if (signal.aborted) return
    if (this.#own === undefined) this.#tell({ is: 'hello', cursor: this.lastEventId })
    else await this.#unite()
  }

  /** Waits for the lock of who leads, or takes it from one that does not answer. */
  #seekLead(signal: AbortSignal, options: { signal?: AbortSignal; steal?: boolean }): void {
    const holding = this.#locks.request(`${this.#key} leader`, options, async () => {
      await this.#lead(signal)
      return new Promise((release) => {
        if (signal.aborted) release()
        signal.addEventListener('abort', () => release())
      })
    })
    holding.catch(() => {
      if (signal.aborted) return
      // Another tab has taken it.
      this.#stepDown()
      this.#seekLead(signal, { signal })
      this.#tell({ is: 'hello', cursor: this.lastEventId })
    })
  }

  async #lead(signal: AbortSignal): Promise<void> {
    await this.#unite()
    if (signal.aborted) return
    this.#leader = this.#id
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
    own?.close()
  }

  /** Asks the browser for the topics of all tabs, and hears those that are new. */
  async #unite(): Promise<void> {
    const prefix = `${this.#key} tab `
    const { held = [] } = await this.#locks.query()
    const names = held.flatMap(({ name }) => (name?.startsWith(prefix) ? [name.slice(prefix.length)] : []))
    const topics = new Set(names.flatMap((name): string[] => JSON.parse(name).slice(1)))
    const hasGrown = [...topics].some((topic) => !this.#union.has(topic))
    this.#union.clear()
    for (const topic of topics) this.#union.add(topic)
    if (this.#own === undefined) return
    if (hasGrown) {
      // What has come until now holds nothing of the new topics.
      this.#recent.clear()
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
    this.#listen('removeEventListener')
    this.#leave()
  }

  /** Lets those in that wait, once it is known where they begin. */
  #letIn(): void {
    const cursor = this.lastEventId
    if (!this.#isOpen || cursor === undefined) return
    for (const [to, had] of this.#waiting) {
      const isNew = had === undefined || had === cursor
      const tail = isNew ? [] : this.#recent.after(had)
      this.#tell({ is: 'joined', to, cursor, tail, clientId: this.clientId })
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
    } else if (message.is === 'joined' && message.to === this.#id && this.#own === undefined) {
      this.#leader = from
      this.#join(message)
    } else if (from === this.#leader && message.is === 'event' && this.#hasJoined) {
      this.#take(message)
    } else if (from === this.#leader && message.is === 'status') {
      this.#follow(message.status, message.clientId)
    }
  }

  #join({ cursor, tail, clientId }: Extract<Message, { is: 'joined' }>): void {
    const common = { id: cursor, topic: undefined }
    const isAhead = this.#recent.has(cursor)
    this.#follow({ state: 'open', transport: 'stream' }, clientId)
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
    this.#seekLead(this.#stay.signal, { steal: true })
  }

  #tell(told: Told): void {
    this.#channel?.postMessage({ ...told, from: this.#id })
  }
}
