import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { SseClient as AppClient } from '../../lib/index.js'
import type { SseEvent } from '../kit/event-reader.js'
import { resyncOf } from '../kit/numbered.js'
import { type Served, serve } from '../kit/server.js'
import type { SseClient } from '../kit/sse-client.js'
import { Arrivals, asksFor } from '../kit/topics.js'
import { Watch } from '../kit/watch.js'

const TOPICS = ['a', 'b', 'a.x', 'a.y', 'a.x.1', 'b.z', 'a.', '__proto__']
const PATTERNS = [...TOPICS, 'a.*', 'a.**', '*', '**', 'b.*', '*.x.*']
/** Small enough to be passed now and then: events that can be replayed, and that a client may fall behind. */
const HISTORY = 30
const QUEUE_DEPTH = 20
const MEMBERS = 6

/** The rule of patterns, as one would explain it. */
function matches(pattern: string, topic: string): boolean {
  const [expected, words] = [pattern.split('.'), topic.split('.')]
  if (expected.at(-1) === '**') {
    const before = expected.slice(0, -1)
    return words.length >= before.length && before.every((word, i) => word === '*' || word === words[i])
  }
  return words.length === expected.length && expected.every((word, i) => word === '*' || word === words[i])
}

/** What the model expects on a connection, in order. */
interface Expected {
  /** The event's number: that of the log, or `own` and that of a `send`, or what a resync says. */
  what: string
  /** The subscriptions by which it is heard. When all are taken back before it is written, it may be missing. */
  by: Set<string>
}

/** A connection of a member, and what the model expects on it. */
interface Connection {
  reader: SseClient
  client: AppClient
  expected: Expected[]
}

const ALWAYS = 'always'

class Model {
  /** Topics of the events of the log, number 1 first. */
  readonly #topics: (string | undefined)[] = []
  #sends = 0
  readonly #served: Served
  readonly #arrivals: Arrivals
  readonly #population: Watch
  readonly #members: { topics: Set<string>; connection?: Connection | undefined; lastEventId?: string }[] = []

  constructor(served: Served, arrivals: Arrivals, population: Watch) {
    this.#served = served
    this.#arrivals = arrivals
    this.#population = population
  }

  broadcast(topic: string | undefined, size: number): void {
    this.#topics.push(topic)
    const n = this.#topics.length
    this.#served.app.sse.broadcastMessage(`${n} ${'x'.repeat(size)}`, { topic })
    for (const { connection, topics } of this.#members) connection?.expected.push(...this.#heard(n, topics))
  }

  /** More than the history holds. */
  burst(topic: string | undefined, events: number): void {
    for (let i = 0; i < events; i++) this.broadcast(topic, 0)
  }

  async join(topics: string[]): Promise<void> {
    if (this.#members.length === MEMBERS) return
    const member = { topics: new Set(topics) }
    this.#members.push(Object.assign(member, { connection: await this.#connect(member.topics) }))
  }

  send(who: number): void {
    const connection = this.#members[who]?.connection
    if (connection === undefined) return
    const what = `own ${++this.#sends}`
    connection.client.send(what)
    connection.expected.push({ what, by: new Set([ALWAYS]) })
  }

  subscribe(who: number, topic: string): void {
    const { connection, topics } = this.#members[who] ?? {}
    if (connection === undefined) return
    connection.client.subscribe(topic)
    topics!.add(topic)
  }

  unsubscribe(who: number, topic: string): void {
    const { connection, topics } = this.#members[who] ?? {}
    if (connection === undefined) return
    connection.client.unsubscribe(topic)
    if (topics!.delete(topic)) for (const { by } of connection.expected) by.delete(topic)
  }

  pause(who: number): void {
    this.#members[who]?.connection?.reader.pause()
  }

  read(who: number): void {
    this.#members[who]?.connection?.reader.resume()
  }

  async cut(who: number): Promise<void> {
    const member = this.#members[who]
    if (member?.connection === undefined) return
    const { connection } = member
    member.connection = undefined
    await connection.reader.close()
    await this.#population.until(() => connection.client.closed || undefined, 'the server to notice')
    member.lastEventId = connection.reader.lastEventId
    agree(connection, false)
  }

  /** @param late those it subscribes to in `onConnect` alone */
  async resume(who: number, late: string[] = []): Promise<void> {
    const member = this.#members[who]
    if (member === undefined || member.connection !== undefined) return
    const asked = new Set(member.topics)
    for (const topic of late) member.topics.add(topic)
    member.connection = await this.#connect(member.topics, member.lastEventId, asked)
  }

  /** As one whose last event id is from before the server was started again. */
  async resumeForeign(who: number): Promise<void> {
    const member = this.#members[who]
    if (member?.lastEventId === undefined || member.connection !== undefined) return
    member.connection = await this.#connect(member.topics, `other-${member.lastEventId.split('-')[1]}`)
  }

  /** Lets all read what there is for them, and compares. */
  async settle(): Promise<void> {
    this.broadcast(undefined, 0)
    const last = `${this.#topics.length} `
    for (const { connection } of this.#members) {
      if (connection === undefined) continue
      connection.reader.resume()
      await connection.reader.until(({ data }) => data.startsWith(last))
      agree(connection, true)
    }
  }

  async leave(): Promise<void> {
    for (const { connection } of this.#members) await connection?.reader.close()
    const { sse } = this.#served.app
    await this.#population.until(() => sse.clientCount === 0 || undefined, 'all to have gone')
    this.#members.length = 0
  }

  async #connect(topics: Set<string>, lastEventId?: string, asked = topics): Promise<Connection> {
    const head = this.#topics.length
    const reader = await this.#served.connect({
      ...(topics.size > 0 && asksFor(...asked)),
      ...(lastEventId !== undefined && { lastEventId }),
      ...(asked !== topics && { headers: { late: [...topics].join() } })
    })
    return { reader, client: this.#arrivals.last, expected: this.#replayed(lastEventId, head, topics) }
  }

  #replayed(lastEventId: string | undefined, head: number, topics: Set<string>): Expected[] {
    const tell = (resync: string) => [{ what: `resync ${resync}`, by: new Set([ALWAYS]) }]
    if (lastEventId?.startsWith('other-')) return tell('unknown null')
    const from = lastEventId === undefined ? head : Number(lastEventId.split('-')[1])
    const heard = (after: number, upTo: number) => {
      const events: Expected[] = []
      for (let n = after + 1; n <= upTo; n++) events.push(...this.#heard(n, topics))
      return events
    }
    const floor = Math.max(from, head - HISTORY)
    if (heard(from, floor).length === 0) return heard(floor, head)
    const isCounted = this.#topics.slice(from, floor).every((topic) => topic === undefined)
    return tell(`expired ${isCounted ? heard(from, head).length : null}`)
  }

  #heard(n: number, topics: Set<string>): Expected[] {
    const topic = this.#topics[n - 1]
    const by = topic === undefined ? [ALWAYS] : [...topics].filter((pattern) => matches(pattern, topic))
    return by.length === 0 ? [] : [{ what: `${n}`, by: new Set(by) }]
  }
}

/** How far one is in what is expected, and the `send`s among what a resync has passed over: they are not lost. */
interface Place {
  at: number
  owed: string[]
}

/** Throws unless what came is what was expected, but for what a resync tells of, and may be missing. */
function agree({ reader, expected }: Connection, isWhole: boolean): void {
  // More than one account may do: a client is not told which of what may be missing was among what it missed.
  let places: Place[] = [{ at: 0, owed: [] }]
  for (const event of reader.events) {
    const next = places.flatMap((place) => after(place, event, expected))
    places = [...new Map(next.map((place) => [`${place.at} ${place.owed}`, place])).values()]
    if (places.length === 0) throw new Error(`${describe(event)} is not as expected\n${account(reader, expected)}`)
  }
  const isOver = ({ at, owed }: Place) => owed.length === 0 && expected.slice(at).every(({ by }) => by.size === 0)
  if (isWhole && !places.some(isOver)) throw new Error(`there should be more\n${account(reader, expected)}`)
}

/** The places at which one can be after an event. */
function after({ at, owed }: Place, event: SseEvent, expected: Expected[]): Place[] {
  const what = describe(event)
  if (owed.length > 0) return owed[0] === what ? [{ at, owed: owed.slice(1) }] : []
  const { reason, missed } = resyncOf(event) ?? {}
  const places: Place[] = []
  const sends: string[] = []
  let [required, optional] = [0, 0]
  for (let next = at; next <= expected.length; next++) {
    // Some of those that may be missing may have counted.
    if (reason === 'overflow' && required <= missed! && missed! <= required + optional) {
      places.push({ at: next, owed: [...sends] })
    }
    const item = expected[next]
    if (item === undefined) break
    if (item.what === what && required + sends.length === 0) places.push({ at: next + 1, owed: [] })
    if (item.what.startsWith('own')) sends.push(item.what)
    else if (item.by.size > 0) required++
    else optional++
  }
  return places
}

function describe(event: SseEvent): string {
  const resync = resyncOf(event)
  if (resync !== undefined) return `resync ${resync.reason} ${resync.missed}`
  return event.id === undefined ? JSON.parse(event.data) : event.data.split(' ', 1).join()
}

function account(reader: SseClient, expected: Expected[]): string {
  const all = expected.map(({ what, by }) => (by.size === 0 ? `(${what})` : what))
  return `expected ${all.join(', ')}\ncame     ${reader.events.map(describe).join(', ')}`
}

const who = fc.nat(MEMBERS - 1)
const pattern = fc.constantFrom(...PATTERNS)
const bursts = fc.constantFrom(5, HISTORY, 2 * HISTORY)
const size = fc.constantFrom(0, 0, 0, 30_000, 120_000)

type Step = (model: Model) => unknown

/** A step that tells what it is when a run fails. */
function step<Args extends unknown[]>(
  name: Exclude<keyof Model, 'settle' | 'leave'>,
  ...args: { [I in keyof Args]: fc.Arbitrary<Args[I]> }
): fc.Arbitrary<Step> {
  return fc.tuple<Args>(...args).map((given) =>
    Object.assign((model: Model) => (model[name] as (...args: unknown[]) => unknown)(...given), {
      [fc.toStringMethod]: () => `${name}(${given.map((arg) => JSON.stringify(arg)).join(', ')})`
    })
  )
}

const flush: Step = Object.assign(() => turn(), { [fc.toStringMethod]: () => 'turn()' })

const steps = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: step('broadcast', fc.option(fc.constantFrom(...TOPICS), { nil: undefined }), size) },
    { weight: 2, arbitrary: step('join', fc.uniqueArray(pattern, { maxLength: 3 })) },
    { weight: 2, arbitrary: step('subscribe', who, pattern) },
    { weight: 2, arbitrary: step('unsubscribe', who, pattern) },
    { weight: 1, arbitrary: step('send', who) },
    { weight: 1, arbitrary: step('pause', who) },
    { weight: 1, arbitrary: step('read', who) },
    { weight: 2, arbitrary: step('cut', who) },
    { weight: 2, arbitrary: step('resume', who) },
    { weight: 1, arbitrary: step('resume', who, fc.uniqueArray(pattern, { maxLength: 2 })) },
    { weight: 1, arbitrary: step('resumeForeign', who) },
    { weight: 1, arbitrary: step('burst', fc.option(fc.constantFrom(...TOPICS), { nil: undefined }), bursts) },
    { weight: 3, arbitrary: fc.constant(flush) }
  ),
  { minLength: 10, maxLength: 100, size: 'max' }
)

/** What random steps may happen not to do: a client resumes after more than the history holds, another reads too slowly. */
const sure: Step[] = [
  (model) => model.join(['**']),
  (model) => model.join(['**']),
  (model) => model.cut(0),
  (model) => model.pause(1),
  ...Array.from({ length: HISTORY + QUEUE_DEPTH + 1 }, () => [
    (model: Model) => model.broadcast(undefined, 30_000),
    flush
  ]).flat(),
  (model) => model.resume(0),
  (model) => model.read(1),
  (model) => model.join(['a', 'b.*']),
  (model) => model.cut(2),
  (model) => model.burst('a.x', 2 * HISTORY),
  (model) => model.resume(2),
  (model) => model.cut(2),
  (model) => model.burst('b.z', 2 * HISTORY),
  (model) => model.resume(2),
  (model) => model.cut(2),
  (model) => model.burst('a.x', 2 * HISTORY),
  (model) => model.resume(2, ['a.x']),
  (model) => model.cut(2),
  (model) => model.resumeForeign(2)
]

t.test('whatever is subscribed, broadcast, cut and resumed, each client gets what a naive model says', async (t) => {
  const arrivals = new Arrivals()
  const population = new Watch(() => `${arrivals.all.length} arrivals`)
  const served = await serve(t, {
    // Its buffers are small, so that a client that does not read is soon behind.
    transport: 'unix',
    sse: {
      authorizeTopics: () => true,
      history: { events: HISTORY },
      queueDepth: QUEUE_DEPTH,
      shards: 3,
      onConnect: (client, request) => {
        for (const topic of String(request.headers.late ?? '').split(',')) if (topic) client.subscribe(topic)
        arrivals.onConnect(client)
      },
      onDisconnect: () => population.changed()
    }
  })
  const model = new Model(served, arrivals, population)
  await fc.assert(
    fc
      .asyncProperty(steps, async (taken) => {
        for (const take of taken) await take(model)
        await model.settle()
      })
      .afterEach(() => model.leave()),
    { numRuns: 80, examples: [[sure]] }
  )
  const { resyncs, deliveries } = served.app.sse.stats()
  t.ok(
    resyncs.expired > 0 && resyncs.unknown > 0 && resyncs.overflow > 0 && deliveries > 1000,
    'and all of it did happen'
  )
})
