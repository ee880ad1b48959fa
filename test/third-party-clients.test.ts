import { createRequire } from 'node:module'
import * as eventsource from 'eventsource'
import { createEventSource } from 'eventsource-client'
import * as eventsource3 from 'eventsource3'
import * as extended from 'extended-eventsource'
import t from 'tap'
import { deferred } from './kit/deferred.js'
import { serve } from './kit/server.js'
import { TcpProxy } from './kit/tcp-proxy.js'
import { Watch } from './kit/watch.js'

const require = createRequire(import.meta.url)

/** What a page does with a client: it parses each message as JSON. */
interface Ears {
  message(data: string): void
  /** The stream is open: the library has told so. */
  open(): void
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

/** Those that are made as the browser's EventSource is. */
const likeEventSource =
  (make: (url: string) => Source): Open =>
  (url, { message, open }) => {
    const source = make(url)
    source.onmessage = ({ data }: { data: string }) => message(data)
    source.onerror = () => {}
    source.addEventListener('connected', open)
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
  'eventsource-client': (url, { message, open }) => {
    const source = createEventSource({
      url,
      onMessage: ({ event, data }) => {
        if (event === 'connected') open()
        if (event === undefined) message(data)
      }
    })
    return () => source.close()
  },
  '@microsoft/fetch-event-source': (url, { message, open }) => {
    const { fetchEventSource } = require('@microsoft/fetch-event-source')
    const ended = new AbortController()
    fetchEventSource(url, {
      signal: ended.signal,
      openWhenHidden: true,
      onmessage: ({ event, data }: { event: string; data: string }) => {
        if (event === 'connected') open()
        if (event === '') message(data)
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

for (const [name, connect] of Object.entries(CLIENTS)) {
  t.test(`No silent gap: ${name}, cut off before its first event, comes back and misses nothing`, async (t) => {
    const s = await serve(t, { sse: { retry: 20, keepAliveInterval: 100 } })
    const proxy = await TcpProxy.to(t, s.port!)
    const heard: unknown[] = []
    const watch = new Watch(() => JSON.stringify(heard))
    let opened = deferred()
    const close = connect(`http://127.0.0.1:${proxy.port}/events`, {
      open: () => opened.resolve(),
      message: (data) => {
        heard.push(JSON.parse(data))
        watch.changed()
      }
    })
    t.teardown(close)
    const heardAll = (n: number) => watch.until(() => (heard.length >= n ? true : undefined), `${n} messages`)
    await opened.promise
    opened = deferred()
    proxy.cut()
    s.app.sse.broadcast(1)
    proxy.mend()
    await heardAll(1)
    s.app.sse.broadcast(2)
    await heardAll(2)
    opened = deferred()
    for (const client of s.app.sse.clients) client.close()
    s.app.sse.broadcast(3)
    await heardAll(3)
    t.strictSame(heard, [1, 2, 3], 'each once, and nothing that is no JSON')
    t.equal(s.app.sse.stats().resyncs.unknown + s.app.sse.stats().resyncs.expired, 0)
  })
}
