import { createRequire } from 'node:module'
import * as eventsource from 'eventsource'
import { createEventSource } from 'eventsource-client'
import * as eventsource3 from 'eventsource3'
import * as extended from 'extended-eventsource'
import t, { type Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { type Served, serve } from '../kit/server.js'
import { TcpProxy } from '../kit/tcp-proxy.js'
import { Watch } from '../kit/watch.js'

const require = createRequire(import.meta.url)

/** What a page does with a client: it parses each message as JSON. */
interface Ears {
  message(data: string): void
  /** The plugin's own event of this name has come. */
  signal(name: string): void
}

/** Opens a stream as users of a library do. @returns what ends it */
type Open = (url: string, ears: Ears) => () => void

interface Source {
  onopen: unknown
  onmessage: unknown
  onerror: unknown
  addEventListener(type: string, listener: (event: { data: string }) => void): void
  close(): void
}

const SIGNALS = ['connected', 'keepalive']

/** Those that are made as the browser's EventSource is. */
const likeEventSource =
  (make: (url: string) => Source): Open =>
  (url, { message, signal }) => {
    const source = make(url)
    source.onmessage = ({ data }: { data: string }) => message(data)
    source.onerror = () => {}
    for (const name of SIGNALS) source.addEventListener(name, () => signal(name))
    return () => source.close()
  }

const CLIENTS: Record<string, Open> = {
  'eventsource 4': likeEventSource((url) => new eventsource.EventSource(url) as unknown as Source),
  'eventsource 3': likeEventSource((url) => new eventsource3.EventSource(url) as unknown as Source),
  'extended-eventsource': likeEventSource(
    (url) => new extended.EventSource(url, { disableLogger: true }) as unknown as Source
  ),
  'reconnecting-eventsource': likeEventSource((url) => {
    const { default: ReconnectingEventSource } = require('reconnecting-eventsource')
    return new ReconnectingEventSource(url, { eventSourceClass: eventsource.EventSource, max_retry_time: 50 })
  }),
  'launchdarkly-eventsource': likeEventSource((url) => {
    const { EventSource } = require('launchdarkly-eventsource')
    return new EventSource(url, { errorFilter: () => true, initialRetryDelayMillis: 20 })
  }),
  'event-source-polyfill': likeEventSource((url) => {
    const { EventSourcePolyfill } = require('event-source-polyfill')
    return new EventSourcePolyfill(url)
  }),
  'eventsource-client': (url, { message, signal }) => {
    const source = createEventSource({
      url,
      onMessage: ({ event, data }) => {
        if (event === undefined) message(data)
        else signal(event)
      }
    })
    return () => source.close()
  },
  '@microsoft/fetch-event-source': (url, { message, signal }) => {
    const { fetchEventSource } = require('@microsoft/fetch-event-source')
    const ended = new AbortController()
    fetchEventSource(url, {
      signal: ended.signal,
      openWhenHidden: true,
      onmessage: ({ event, data }: { event: string; data: string }) => {
        // As users do, before they look at the name.
        JSON.parse(data)
        if (event === '') message(data)
        else signal(event)
      },
      onclose: () => {
        throw new Error('ended: come back')
      }
    })
    return () => ended.abort()
  }
}

// Some are made for browsers alone.
Object.assign(globalThis, {
  window: globalThis,
  addEventListener: () => {},
  document: { removeEventListener: () => {} }
})

/** A client behind a connection that can be cut, and what it has heard. */
class Listener {
  readonly served: Served
  readonly heard: unknown[] = []
  readonly #signals: string[] = []
  readonly #proxy: TcpProxy
  readonly #watch = new Watch(() => JSON.stringify([this.heard, this.#signals]))

  private constructor(t: Test, served: Served, proxy: TcpProxy, connect: Open) {
    this.served = served
    this.#proxy = proxy
    const close = connect(`http://127.0.0.1:${proxy.port}/events`, {
      signal: (name) => {
        this.#signals.push(name)
        this.#watch.changed()
      },
      message: (data) => {
        this.heard.push(JSON.parse(data))
        this.#watch.changed()
      }
    })
    t.teardown(close)
  }

  /** Resolves when it is connected. */
  static async open(t: Test, connect: Open, sse: PylonSseOptions = {}): Promise<Listener> {
    const served = await serve(t, { sse: { retry: 20, ...sse } })
    const proxy = await TcpProxy.to(t, served.port!)
    const listener = new Listener(t, served, proxy, connect)
    await listener.waitForSignal('connected')
    return listener
  }

  waitForSignal(name: string): Promise<true> {
    return this.#watch.until(() => this.#signals.includes(name) || undefined, `an event ${name}`)
  }

  waitForMessages(count: number): Promise<true> {
    return this.#watch.until(() => this.heard.length >= count || undefined, `${count} messages`)
  }

  /** Broadcasts while its connection is cut. */
  broadcastMeanwhile(data: unknown): void {
    this.#proxy.cut()
    this.served.app.sse.broadcast(data)
    this.#proxy.mend()
  }
}

for (const [name, connect] of Object.entries(CLIENTS)) {
  t.test(`No silent gap: ${name}, cut off before its first event, comes back and misses nothing`, async (t) => {
    const listener = await Listener.open(t, connect, { keepAliveInterval: 100 })
    const { sse } = listener.served.app
    listener.broadcastMeanwhile(1)
    await listener.waitForMessages(1)
    sse.broadcast(2)
    await listener.waitForMessages(2)
    // Ended properly, as by `maxConnectionAge`.
    for (const client of sse.clients) client.close()
    sse.broadcast(3)
    await listener.waitForMessages(3)
    t.strictSame(listener.heard, [1, 2, 3], 'each once, and nothing that is no JSON')
    t.match(sse.stats().resyncs, { unknown: 0, expired: 0 })
  })

  t.test(`Only who lost something: ${name} takes the cursor of a keepalive, and is told of no gap`, async (t) => {
    const listener = await Listener.open(t, connect, { keepAliveInterval: 40, history: { events: 3 }, queueDepth: 3 })
    const { sse } = listener.served.app
    // What it had at connect leaves the log, by events that are not for it.
    for (let i = 0; i < 10; i++) sse.broadcast(i, { topic: 'other' })
    await listener.waitForSignal('keepalive')
    listener.broadcastMeanwhile('own')
    await listener.waitForMessages(1)
    t.strictSame(listener.heard, ['own'], 'no message has come of a keepalive')
    t.match(sse.stats().resyncs, { unknown: 0, expired: 0 })
  })
}
