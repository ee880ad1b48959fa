import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { resolveOptions } from '../../../lib/api/options.js'
import type { Client } from '../../../lib/hub/clients/client.js'
import { ShardCohort } from '../../../lib/hub/clients/cohort.js'
import { Counters } from '../../../lib/hub/clients/counters.js'
import { Hub } from '../../../lib/hub/hub.js'
import { Audiences } from '../../../lib/log/audience.js'
import { EventLog } from '../../../lib/log/event-log.js'
import { LogReader } from '../../../lib/log/log-reader.js'

const TOPICS = ['a', 'b']
const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** A response that takes bytes or does not, and runs code amid a write, as one that a plugin has wrapped may. */
class StubResponse extends EventEmitter {
  /** Data of the events that it was given. */
  readonly got: string[] = []
  isFull = false
  amid: (() => void) | undefined
  writableLength = 0

  writeHead(): void {}

  write(bytes: Buffer): boolean {
    for (const [, data] of bytes.toString().matchAll(/^data: (.*)$/gm)) this.got.push(data!)
    const { amid } = this
    this.amid = undefined
    amid?.()
    return !this.isFull
  }

  end(): void {
    setImmediate(() => this.emit('close'))
  }

  destroy(): void {
    this.end()
  }
}

/** A client beside a naive model of it: the list of what it is to get. */
class Listener {
  readonly res = new StubResponse()
  readonly due: string[] = []
  readonly topics: Set<string>
  readonly client: Client
  /** How much of `due` it must have got when it was closed; nothing while it is open. */
  closedAt: number | undefined
  /** It was full once: what it had not read then may have been evicted. */
  wasFull = false

  constructor(hub: Hub, topics: readonly string[]) {
    this.topics = new Set(topics)
    this.client = hub.clients.admit({
      ...{ ip: undefined, source: undefined, topics: new Set(topics), tellsSubscriptions: false, everyone: true },
      ...{ until: undefined, state: undefined, position: { seq: hub.log.head }, resumes: false, compressed: false },
      slot: { release() {} } as never,
      scope: { run: (callback) => callback(), abort() {}, log: silent },
      req: new EventEmitter() as never,
      res: this.res as never
    })
    this.client.open({}, () => this.client.start())
    this.res.got.length = 0
  }

  hears(topic: string | undefined): boolean {
    return topic === undefined || this.topics.has(topic)
  }
}

class Model {
  readonly hub: Hub
  readonly listeners: Listener[] = []
  #made = 0

  constructor(events: number) {
    this.hub = new Hub(resolveOptions({ shards: 2, history: { events }, queueDepth: 1000 }), silent)
  }

  join(topics: readonly string[]): void {
    this.listeners.push(new Listener(this.hub, topics))
  }

  broadcast(topic: string | undefined, except: number | undefined): void {
    const data = `${++this.#made}`
    const spared = except === undefined ? undefined : this.listeners[except]
    // The model first: the hub may run code that changes it.
    for (const listener of this.listeners) {
      if (listener !== spared && !listener.client.closed && listener.hears(topic)) listener.due.push(data)
    }
    this.hub.broadcaster.broadcast(Number(data), { topic, except: spared?.client.id })
  }

  send({ client, due }: Listener): void {
    if (client.closed) return
    const data = `${++this.#made}`
    due.push(data)
    client.send(Number(data))
  }

  subscribe(listener: Listener, topic: string): void {
    if (listener.closedAt !== undefined) return
    listener.topics.add(topic)
    listener.client.subscribe(topic)
  }

  close(listener: Listener): void {
    if (listener.closedAt !== undefined) return
    // Of what is broadcast while it is being closed, it may get some.
    listener.closedAt = listener.res.isFull ? 0 : listener.due.length
    listener.client.close()
  }

  fill({ res, client }: Listener): void {
    // Its next write fills it.
    if (!client.closed) res.isFull = true
  }

  drain(listener: Listener): void {
    listener.res.isFull = false
    listener.res.emit('drain')
  }
}

const who = fc.nat(5)
const topic = fc.constantFrom(undefined, ...TOPICS)
const simple = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('broadcast' as const), topic, except: fc.option(who) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('send' as const), who }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('subscribe' as const), who, topic: fc.constantFrom(...TOPICS) })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fill' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drain' as const), who }) }
)
type Simple = typeof simple extends fc.Arbitrary<infer Value> ? Value : never
const step = fc.oneof(
  { weight: 5, arbitrary: simple },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('join' as const), topics: fc.subarray(TOPICS) })
  },
  // Amid the next write to a client, something is done several times.
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('amid' as const),
      who,
      action: simple,
      times: fc.integer({ min: 1, max: 6 })
    })
  }
)

function perform(model: Model, action: Simple): void {
  if (action.do === 'broadcast') {
    model.broadcast(action.topic, action.except ?? undefined)
    return
  }
  const listener = model.listeners[action.who]
  if (listener === undefined) return
  if (action.do === 'send') model.send(listener)
  else if (action.do === 'subscribe') model.subscribe(listener, action.topic)
  else if (action.do === 'close') model.close(listener)
  else if (action.do === 'fill') {
    model.fill(listener)
    listener.wasFull = true
  } else model.drain(listener)
}

t.test('an event evicted before it was offered does not delay the events after it', async (t) => {
  const log = new EventLog({ epoch: 'life', replay: 1, events: 1, bytes: 1000 })
  const { everyone } = new Audiences()
  const cohort = new ShardCohort({ touch() {}, left() {} }, everyone, {
    log,
    reader: new LogReader(log, everyone),
    counters: new Counters()
  })
  const client = { settleIn() {}, take: () => t.fail('there is nothing to take') } as unknown as Client
  cohort.add(client)
  t.ok(cohort.makeLive(client, 0))
  log.append('data: 1\n\n')
  log.append('data: 2\n\n', { topic: 'a' })
  t.notOk(cohort.isSettled)
  cohort.flush(0)
  t.ok(cohort.isSettled)
})

t.test('the last event id that a cohort knows of was sent to every live client', (t) => {
  const log = new EventLog({ epoch: 'life', replay: 1, events: 10, bytes: 1000 })
  const { everyone } = new Audiences()
  const source = { log, reader: new LogReader(log, everyone), counters: new Counters() }
  const cohort = new ShardCohort({ touch() {}, left() {} }, everyone, source)
  const join = (told: number) => {
    const client = { settleIn() {}, stream: { write: () => true }, awaitsLast: false } as unknown as Client
    cohort.add(client)
    t.ok(cohort.makeLive(client, told))
  }
  join(0)
  t.equal(cohort.told, 0)
  log.append('data: 1\n\n')
  cohort.flush(0)
  t.equal(cohort.told, log.head)
  join(log.head)
  t.equal(cohort.told, log.head, 'the second one has been sent it, too')
  join(log.head - 1)
  t.equal(cohort.told, 0, 'the third one has not')
  log.append('data: 2\n\n')
  cohort.flush(0)
  t.equal(cohort.told, log.head)
  t.end()
})

t.test('whatever happens during a flush, each client gets each of its events once and in order', async () => {
  const seen = { live: 0, behind: 0 }
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(3, 1000),
      fc.array(fc.subarray(TOPICS), { minLength: 1, maxLength: 6 }),
      fc.array(step, { maxLength: 60, size: 'max' }),
      async (events, listeners, steps) => {
        const model = new Model(events)
        for (const topics of listeners) model.join(topics)
        for (const step of steps) {
          if (step.do === 'flush') await turn()
          else if (step.do === 'join') {
            if (model.listeners.length < 6) model.join(step.topics)
          } else if (step.do === 'amid') {
            const listener = model.listeners[step.who]
            if (listener !== undefined) {
              listener.res.amid = () => {
                for (let i = 0; i < step.times; i++) perform(model, step.action)
              }
            }
          } else perform(model, step)
        }
        for (const listener of model.listeners) listener.res.amid = undefined
        for (const listener of model.listeners) model.drain(listener)
        await turn()
        await turn()
        for (const { res, due, closedAt, wasFull, client } of model.listeners) {
          if (wasFull) seen.behind++
          else seen.live++
          const got = res.got.filter((data) => !data.startsWith('{'))
          const least = closedAt ?? due.length
          if (wasFull) {
            // It may have missed some, but has none twice, nor in another order.
            const places = got.map((data) => due.indexOf(data))
            assert.ok(
              places.every((place, i) => place > (places[i - 1] ?? -1)),
              `${got} of ${due}`
            )
          } else {
            assert.deepEqual(got, due.slice(0, Math.max(least, got.length)))
          }
          if (closedAt === undefined) assert.equal(client.lag, 0)
          else assert.ok(client.lag >= 0)
        }
        await model.hub.close()
        assert.equal(model.hub.audiences.size, 0)
      }
    ),
    { numRuns: 400 }
  )
  assert.ok(seen.live > 100 && seen.behind > 100, JSON.stringify(seen))
})
