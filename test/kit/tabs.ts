// Tabs of a browser, simulated in the process of a test.

import type { Test } from 'tap'
import type { Address, SseOptions } from '../../lib/entries/client/client.js'
import { Live } from './live.js'

/** Options of a server whose clients reconnect at once, and may ask for every topic. */
export const SSE = { retry: 10, authorizeTopics: () => true } as const

interface Holder {
  tab: Tab
  stolen(): void
}
interface Waiter {
  tab: Tab
  grant(): void
}

/** Tabs of one browser, as far as those see each other: Web Locks and BroadcastChannel. All run in this process. */
export class Tabs {
  readonly #held = new Map<string, Holder>()
  readonly #waiting = new Map<string, Waiter[]>()
  readonly channels = new Set<TabChannel>()
  readonly #t: Test

  constructor(t: Test) {
    this.#t = t
  }

  /** Opens a page in a tab of its own. */
  async open(url: Address, options: SseOptions<Record<string, unknown>, never> = {}): Promise<Tab> {
    const tab = new Tab(this)
    this.run(tab)
    tab.live = new Live(this.#t, url, { shared: true, ...options })
    // What it looks for is found when its module has been loaded.
    await tab.live.settled()
    return tab
  }

  /** What is run next is run in that tab. */
  run(tab: Tab): void {
    const t = this.#t
    t.intercept(globalThis, 'document' as never, { value: tab.document, configurable: true })
    t.intercept(globalThis, 'navigator' as never, { value: { locks: tab.locks }, configurable: true })
    t.intercept(globalThis, 'BroadcastChannel' as never, { value: tab.BroadcastChannel, configurable: true })
  }

  query(): Promise<{ held: { name: string }[] }> {
    return Promise.resolve({ held: [...this.#held.keys()].map((name) => ({ name })) })
  }

  request(
    tab: Tab,
    name: string,
    { signal, steal = false }: { signal?: AbortSignal; steal?: boolean },
    callback: () => Promise<void>
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const grant = () => {
        const holder: Holder = { tab, stolen: () => reject(new DOMException('stolen', 'AbortError')) }
        this.#held.set(name, holder)
        const done = () => {
          if (this.#held.get(name) === holder) this.#release(name)
        }
        callback().then(resolve, reject).finally(done)
      }
      const holder = this.#held.get(name)
      if (signal?.aborted) reject(signal.reason)
      else if (holder === undefined) grant()
      else if (steal) {
        grant()
        holder.stolen()
      } else {
        const waiter = { tab, grant }
        const queue = this.#waiting.get(name) ?? []
        this.#waiting.set(name, queue)
        queue.push(waiter)
        signal?.addEventListener('abort', () => {
          const at = queue.indexOf(waiter)
          if (at >= 0) queue.splice(at, 1)
          reject(signal.reason)
        })
      }
    })
  }

  /** A tab has gone: the browser gives its locks to others. */
  forget(tab: Tab): void {
    for (const queue of this.#waiting.values()) {
      for (const waiter of queue.filter((waiter) => waiter.tab === tab)) queue.splice(queue.indexOf(waiter), 1)
    }
    for (const [name, holder] of this.#held) if (holder.tab === tab) this.#release(name)
  }

  #release(name: string): void {
    this.#held.delete(name)
    this.#waiting.get(name)?.shift()?.grant()
  }
}

class TabChannel {
  onmessage: ((event: { data: unknown }) => void) | null = null
  readonly name: string
  readonly tab: Tab

  constructor(tab: Tab, name: string) {
    this.tab = tab
    this.name = name
    tab.tabs.channels.add(this)
  }

  postMessage(message: unknown): void {
    if (this.tab.isSilent) return
    const data = structuredClone(message)
    for (const other of this.tab.tabs.channels) {
      if (other === this || other.name !== this.name) continue
      setImmediate(() => {
        if (!other.tab.isSilent) other.onmessage?.({ data })
      })
    }
  }

  close(): void {
    this.onmessage = null
    this.tab.tabs.channels.delete(this)
  }
}

export class Tab {
  live!: Live
  /** Whether it neither tells nor hears anything: it has crashed, or is frozen. */
  isSilent = false
  readonly document = Object.assign(new EventTarget(), { visibilityState: 'visible', baseURI: 'http://127.0.0.1' })
  readonly tabs: Tabs
  readonly locks: object
  readonly BroadcastChannel: object

  constructor(tabs: Tabs) {
    this.tabs = tabs
    const tab = this
    this.locks = {
      query: () => tabs.query(),
      request: (name: string, options: object, callback: () => Promise<void>) =>
        tabs.request(tab, name, options, callback)
    }
    this.BroadcastChannel = class extends TabChannel {
      constructor(name: string) {
        super(tab, name)
      }
    }
  }

  get role(): string | undefined {
    const { status } = this.live.connection
    return status.state === 'open' ? status.role : undefined
  }

  /** It ends without a word. */
  crash(): void {
    this.isSilent = true
    this.live.connection.close()
    this.tabs.forget(this)
  }

  /** The browser says so before. */
  freeze(): void {
    this.document.dispatchEvent(new Event('freeze'))
  }

  thaw(): void {
    this.tabs.run(this)
    this.document.dispatchEvent(new Event('resume'))
  }
}
