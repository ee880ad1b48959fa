import { createElement as h, type ReactElement, StrictMode, useEffect, useState } from 'react'
import { renderToString } from 'react-dom/server'
import { create, type ReactTestRenderer } from 'react-test-renderer'
import t, { type Test } from 'tap'
import {
  type SseLive,
  SseProvider,
  type UseSseOptions,
  useSse,
  useSseConnection,
  useSseEvent
} from '../../../lib/entries/react/react.js'
import { type Served, serve } from '../../kit/server.js'
import { Watch } from '../../kit/watch.js'

interface Hub extends Served {
  /** What has been asked for, by its query and its header `x-token`. */
  readonly requests: string[]
}

async function startHub(t: Test): Promise<Hub> {
  const requests: string[] = []
  const s = await serve(t, {
    sse: {
      authorizeTopics: () => true,
      route: {
        onRequest: async ({ url, headers }, reply) => {
          requests.push(`${headers['x-token'] ?? ''} ${url}`)
          if (headers['x-token'] === 'old') return reply.code(403).send()
        }
      }
    }
  })
  return { ...s, requests }
}

// biome-ignore lint/suspicious/noExplicitAny: tests use events of any kind
type Any = any

/** What components have told, until the end of the test. */
class Stage {
  readonly heard: unknown[] = []
  live: SseLive<Any> | undefined
  readonly states: string[] = []
  /** The tag of the last render that has been committed. */
  committed: string | undefined
  #renderer: ReactTestRenderer | undefined
  readonly #watch = new Watch(() => JSON.stringify([this.heard, this.states]))

  constructor(t: Test) {
    t.teardown(() => this.unmount())
  }

  /**
   * Renders under StrictMode, in a root as `createRoot` makes it. This renderer runs effects once all the same: a browser is tried in
   * `test/examples/frameworks.ts`.
   */
  render(element: ReactElement): void {
    const whole = h(StrictMode, null, element)
    if (this.#renderer !== undefined) this.#renderer.update(whole)
    else this.#renderer = create(whole, { unstable_isConcurrent: true, unstable_strictMode: true } as never)
  }

  unmount(): void {
    this.#renderer?.unmount()
    this.#renderer = undefined
  }

  /** A render has been committed: the handlers are now those of this render. */
  commit(tag: string): void {
    this.committed = tag
    this.#watch.changed()
  }

  hear(data: unknown): void {
    this.heard.push(data)
    this.#watch.changed()
  }

  show(live: SseLive<Any>): null {
    this.live = live
    if (this.states.at(-1) !== live.status.state) this.states.push(live.status.state)
    this.#watch.changed()
    return null
  }

  until(look: () => boolean, what: string): Promise<true> {
    return this.#watch.until(() => look() || undefined, what)
  }

  state(state: string): Promise<true> {
    return this.until(() => this.live?.status.state === state, `status ${state}`)
  }
}

interface Props {
  stage: Stage
  url: Parameters<typeof useSse>[0]
  options?: UseSseOptions<Any>
  tag?: string
}

function Listener({ stage, url, options, tag = '' }: Props) {
  const live = useSse<Any>(url, { retryDelay: 10, ...options })
  useSseEvent('message', (data) => stage.hear(`${tag}${data}`), live)
  useSseEvent('error', (error) => stage.hear(`error ${(error as Error).message}`), live)
  useEffect(() => stage.commit(tag), [stage, tag])
  return stage.show(live)
}

/** Resolves when so many clients are connected. */
async function clients({ app }: Served, count: number): Promise<void> {
  while (app.sse.clientCount !== count) await new Promise(setImmediate)
}

t.test('a component has one connection, which ends with it', async (t) => {
  const s = await startHub(t)
  const stage = new Stage(t)
  stage.render(h(Listener, { stage, url: `${s.url}/events` }))
  await stage.state('open')
  s.app.sse.broadcast(1)
  s.app.sse.broadcast(2)
  await stage.until(() => stage.heard.length >= 2, 'two events')
  t.strictSame(stage.heard, ['1', '2'])
  t.strictSame(s.requests, [' /events'])
  t.strictSame(stage.states, ['connecting', 'open'])
  const { connection } = stage.live!
  stage.unmount()
  await clients(s, 0)
  t.match(connection!.status, { state: 'closed', reason: 'closed' })
})

t.test('options can be inline: functions are those of the last render, and nothing reconnects', async (t) => {
  const s = await startHub(t)
  const stage = new Stage(t)
  const renderWith = (tag: string) => {
    const load = () => stage.hear(`loaded ${tag}`)
    const options = { load, isStale: () => false, headers: { 'x-token': tag }, topics: ['b', 'a'] }
    stage.render(h(Listener, { stage, url: () => `${s.url}/events?tag=${tag}`, tag, options }))
  }
  renderWith('a')
  await stage.until(() => stage.heard.length === 1, 'the state')
  const { connection, on } = stage.live!
  renderWith('b')
  await stage.until(() => stage.committed === 'b', 'the render')
  s.app.sse.broadcast(1, { topic: 'a' })
  await stage.until(() => stage.heard.length === 2, 'an event')
  t.equal(s.requests.length, 1)
  s.app.sse.disconnect(() => true)
  await stage.until(() => s.requests.length === 2, 'another request').catch(() => {})
  await stage.state('open')
  s.app.sse.broadcast(2)
  await stage.until(() => stage.heard.length === 3, 'another event')
  t.strictSame(stage.heard, ['loaded a', 'b1', 'b2'])
  t.match(s.requests[0], /^a .*tag=a&topic=a&topic=b$/)
  t.match(s.requests[1], /^b .*tag=b&topic=a&topic=b&lastEventId=/)
  t.equal(stage.live!.connection, connection)
  t.equal(stage.live!.on, on)
})

t.test('topics can change while the connection is open, and nothing is lost', async (t) => {
  const s = await startHub(t)
  const stage = new Stage(t)
  const renderWith = (topics: string[]) =>
    stage.render(h(Listener, { stage, url: `${s.url}/events`, options: { topics } }))
  renderWith(['a'])
  await stage.state('open')
  const { connection } = stage.live!
  s.app.sse.broadcast('a1', { topic: 'a' })
  await stage.until(() => stage.heard.length === 1, 'an event')
  renderWith(['b', 'c'])
  while (connection!.topics.has('a')) await new Promise(setImmediate)
  s.app.sse.broadcast('c1', { topic: 'c' })
  s.app.sse.broadcast('a2', { topic: 'a' })
  s.app.sse.broadcast('b1', { topic: 'b' })
  await stage.until(() => stage.heard.length === 3, 'what came meanwhile')
  t.strictSame(stage.heard, ['a1', 'c1', 'b1'])
  t.equal(stage.live!.connection, connection)
  t.equal(s.requests.length, 2, 'in one request')
})

t.test('another URL opens another connection, and null closes it', async (t) => {
  const [s, other] = [await startHub(t), await startHub(t)]
  const stage = new Stage(t)
  stage.render(h(Listener, { stage, url: null }))
  await stage.state('closed')
  t.equal(stage.live!.connection, undefined)
  stage.render(h(Listener, { stage, url: `${s.url}/events` }))
  await stage.state('open')
  const { connection } = stage.live!
  stage.render(h(Listener, { stage, url: new URL('/events', other.url) }))
  await clients(s, 0)
  await clients(other, 1)
  await stage.state('open')
  t.not(stage.live!.connection, connection)
  other.app.sse.broadcast('there')
  await stage.until(() => stage.heard.length === 1, 'an event')
  t.strictSame(stage.heard, ['there'], 'handlers go along')
  stage.render(h(Listener, { stage, url: null }))
  await clients(other, 0)
  await stage.state('closed')
})

t.test('another value of an option opens another connection, which resumes where the last one was', async (t) => {
  const s = await startHub(t)
  const stage = new Stage(t)
  stage.render(h(Listener, { stage, url: `${s.url}/events`, options: { maxBuffered: 10 } }))
  await stage.state('open')
  s.app.sse.broadcast(1)
  await stage.until(() => stage.heard.length === 1, 'an event')
  const { connection } = stage.live!
  stage.render(h(Listener, { stage, url: `${s.url}/events`, options: { maxBuffered: 20 } }))
  while (connection!.status.state !== 'closed') await new Promise(setImmediate)
  s.app.sse.broadcast(2)
  await stage.until(() => stage.heard.length === 2, 'another event')
  t.strictSame(stage.heard, ['1', '2'])
  t.match(s.requests[1], /lastEventId=/)
})

t.test('the status says why a connection was closed', async (t) => {
  const s = await startHub(t)
  const stage = new Stage(t)
  stage.render(h(Listener, { stage, url: `${s.url}/events`, options: { headers: () => ({ 'x-token': 'old' }) } }))
  await stage.state('closed')
  t.match(stage.live, { status: { reason: 'unauthorized' }, error: { status: 403 } })
})

t.test('components inside a provider use its connection, and can mount and unmount at any time', async (t) => {
  const s = await startHub(t)
  const stage = new Stage(t)
  function Item({ name }: { name: string }) {
    useSseEvent('message', (data) => stage.hear(`${name} ${data}`))
    useEffect(() => stage.commit(name), [name])
    return null
  }
  function Status() {
    return stage.show(useSseConnection())
  }
  const url = `${s.url}/events`
  const renderItems = (...names: string[]) =>
    stage.render(h(SseProvider, { url }, h(Status, null), ...names.map((name) => h(Item, { key: name, name }))))
  renderItems('one', 'two')
  await stage.state('open')
  s.app.sse.broadcast(1)
  await stage.until(() => stage.heard.length === 2, 'an event')
  renderItems('two', 'three')
  await stage.until(() => stage.committed === 'three', 'the render')
  s.app.sse.broadcast(2)
  await stage.until(() => stage.heard.length === 4, 'another event')
  t.strictSame(stage.heard, ['one 1', 'two 1', 'two 2', 'three 2'])
  t.equal(s.requests.length, 1)
  t.throws(() => renderToString(h(Item, { name: 'alone' })), /^useSseEvent\('message', …\) finds no connection/)
  t.throws(() => renderToString(h(Status)), /^useSseConnection\(\) finds no connection/)
})

t.test('on the server the status is connecting, nothing is fetched, and no global is changed', (t) => {
  const called: string[] = []
  for (const name of ['fetch', 'addEventListener', 'BroadcastChannel', 'setTimeout', 'setInterval']) {
    t.intercept(globalThis, name as never, { value: () => called.push(name) } as never)
  }
  const before = Object.getOwnPropertyNames(globalThis)
  function Page({ url }: { url: string | null }) {
    const live = useSse(url, { topics: ['a'], shared: true, storage: true, load: () => called.push('load') })
    useSseEvent('message', () => {}, live)
    const [text] = useState('page')
    return h('p', null, `${text} ${live.status.state} ${live.connection}`)
  }
  t.equal(renderToString(h(StrictMode, null, h(Page, { url: '/events' }))), '<p>page connecting undefined</p>')
  t.equal(renderToString(h(Page, { url: null })), '<p>page closed undefined</p>')
  t.strictSame(called, [])
  t.strictSame(Object.getOwnPropertyNames(globalThis), before)
  t.end()
})
