// The place of a tab among the tabs that share a connection: its locks and its channel. What the tabs do is in shared.ts.

import { type Channel, environment, type Locks } from './environment.js'
import type { Message, MessageBody } from './tab-message.js'

/** How often a tab checks whether the leader still answers, ms. */
const CHECK_EVERY = 3000

/** The callbacks of a membership. */
export interface Member {
  /** Another tab has sent a message. */
  receive(message: Message): void
  /** This tab has entered, or its topics have changed, and the other tabs can see that. */
  announced(): void
  /** This tab is the leader, until `signal` aborts or `deposed` is called. */
  lead(signal: AbortSignal): Promise<void>
  /** Another tab has taken the lead. */
  deposed(): void
  /** This tab has left. */
  left(): void
  /** It is time to check whether the leader still answers. */
  check(): void
}

/**
 * A tab among those that share a connection. It holds a lock whose name lists its topics, waits for the lock that makes a tab the
 * leader, and talks to the other tabs over a channel. A page leaves when it is frozen or put into the back/forward cache, and enters
 * again when it returns.
 */
export class Membership {
  readonly id = Math.random().toString(36).slice(2)
  readonly #key: string
  readonly #topics: ReadonlySet<string>
  readonly #member: Member
  readonly #locks: Locks = environment.navigator!.locks!
  readonly #document = environment.document
  #channel: Channel | undefined
  /** Aborts when the tab leaves. */
  #stay = new AbortController()
  #timer: ReturnType<typeof setInterval> | undefined
  #releaseTab = () => {}

  constructor(key: string, topics: ReadonlySet<string>, member: Member) {
    this.#key = key
    this.#topics = topics
    this.#member = member
    this.#listen('addEventListener')
    void this.#enter()
  }

  /** Leaves for good. */
  end(): void {
    this.#listen('removeEventListener')
    this.#leave()
  }

  /** Sends a message to all other tabs. */
  send(body: MessageBody): void {
    this.#channel?.postMessage({ ...body, from: this.id })
  }

  /** Makes this tab the leader, in place of one that does not answer. */
  takeLead(): void {
    this.#seekLead(this.#stay.signal, { steal: true })
  }

  /** The topics of all tabs. */
  async topicsOfAll(): Promise<Set<string>> {
    const prefix = `${this.#key} tab `
    const { held = [] } = await this.#locks.query()
    const names = held.flatMap(({ name }) => (name?.startsWith(prefix) ? [name.slice(prefix.length)] : []))
    return new Set(names.flatMap((name): string[] => JSON.parse(name).slice(1)))
  }

  /** Takes a lock whose name lists the topics. Then other tabs can see them. */
  async announce(): Promise<void> {
    const { signal } = this.#stay
    const releaseOld = this.#releaseTab
    const name = `${this.#key} tab ${JSON.stringify([this.id, ...this.#topics])}`
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
    if (!signal.aborted) this.#member.announced()
  }

  async #enter(): Promise<void> {
    this.#stay = new AbortController()
    const { signal } = this.#stay
    const channel = new environment.BroadcastChannel!(this.#key)
    this.#channel = channel
    channel.onmessage = ({ data }) => this.#member.receive(data)
    this.#timer = setInterval(() => this.#member.check(), CHECK_EVERY)
    await this.announce()
    if (!signal.aborted) this.#seekLead(signal, { signal })
  }

  /** Called before the page is frozen: it would keep the locks, and answer nobody. */
  readonly #leave = (): void => {
    this.send({ is: 'bye' })
    this.#stay.abort()
    clearInterval(this.#timer)
    this.#channel?.close()
    this.#channel = undefined
    this.#member.left()
    this.#releaseTab()
  }

  readonly #comeBack = (): void => {
    if (this.#channel === undefined) void this.#enter()
  }

  #listen(method: 'addEventListener' | 'removeEventListener'): void {
    const document = this.#document
    /* c8 ignore next 5: workers have no document */
    environment[method]?.('pagehide', this.#leave)
    environment[method]?.('pageshow', this.#comeBack)
    document?.[method]?.('freeze', this.#leave)
    document?.[method]?.('resume', this.#comeBack)
  }

  /** Waits for the leader's lock, or steals it. */
  #seekLead(signal: AbortSignal, options: { signal?: AbortSignal; steal?: boolean }): void {
    const holding = this.#locks.request(`${this.#key} leader`, options, async () => {
      await this.#member.lead(signal)
      return new Promise((release) => {
        if (signal.aborted) release()
        signal.addEventListener('abort', () => release())
      })
    })
    holding.catch(() => {
      if (signal.aborted) return
      this.#member.deposed()
      this.#seekLead(signal, { signal })
    })
  }
}
