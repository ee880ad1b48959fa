import { type Channel, environment, type Locks } from './environment.js'
import type { Message, Told } from './tab-message.js'

/** How often a tab looks whether the leading one still answers, ms. */
const LOOK_EVERY = 3000

/** Whom a membership tells what happens. */
export interface Member {
  hear(message: Message): void
  /** It has entered, or its topics have changed, and the other tabs can see that. */
  announced(): void
  /** It leads from now on, until `signal` aborts or `deposed` is called. */
  lead(signal: AbortSignal): Promise<void>
  /** Another tab has taken the lead. */
  deposed(): void
  /** It leaves the others. */
  left(): void
  /** It is time to look whether the leading tab still answers. */
  look(): void
}

/**
 * A tab's place among those that share a connection: it holds a lock whose name tells its topics, waits for the lock of the tab that
 * leads, and hears the others on a channel. A page that is put aside or frozen leaves, and enters anew when it comes back.
 */
export class Membership {
  readonly id = Math.random().toString(36).slice(2)
  readonly #key: string
  readonly #topics: ReadonlySet<string>
  readonly #member: Member
  readonly #locks: Locks = environment.navigator!.locks!
  readonly #document = environment.document
  #channel: Channel | undefined
  /** Aborts when it leaves. */
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

  tell(told: Told): void {
    this.#channel?.postMessage({ ...told, from: this.id })
  }

  /** Takes the lead from a tab that does not answer. */
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

  /** Holds a lock whose name tells its topics, and then says so. */
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
    channel.onmessage = ({ data }) => this.#member.hear(data)
    this.#timer = setInterval(() => this.#member.look(), LOOK_EVERY)
    await this.announce()
    if (!signal.aborted) this.#seekLead(signal, { signal })
  }

  /** Before the page is put aside: it would hold the lock, and answer nobody. */
  readonly #leave = (): void => {
    this.tell({ is: 'bye' })
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
    /* c8 ignore next 5: a worker, in part */
    environment[method]?.('pagehide', this.#leave)
    environment[method]?.('pageshow', this.#comeBack)
    document?.[method]?.('freeze', this.#leave)
    document?.[method]?.('resume', this.#comeBack)
  }

  /** Waits for the lock of who leads, or takes it. */
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
