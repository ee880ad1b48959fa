import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { ResyncReason } from '../../lib/index.js'
import { CheckedClients } from '../kit/checked-clients.js'
import { type Bounds, NaiveLog, type SentEvent } from '../kit/naive-log.js'
import { serve } from '../kit/server.js'

const CLIENTS = [0, 1, 2]
const who = fc.constantFrom(...CLIENTS)
const event: fc.Arbitrary<SentEvent> = fc.record({
  size: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 100 }) },
    { weight: 2, arbitrary: fc.integer({ min: 1000, max: 70_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 100_000, max: 300_000 }) }
  ),
  name: fc.constantFrom(undefined, undefined, 'named', '名前'),
  ownId: fc.boolean()
})
const burst = fc.array(event, { minLength: 1, maxLength: 15, size: 'max' })
const small = fc.array(
  event.map((event) => ({ ...event, size: event.size % 100 })),
  { maxLength: 5 }
)

type Step =
  | { do: 'broadcast'; events: SentEvent[] }
  | { do: 'turn' }
  | { do: 'come'; who: number; meanwhile: SentEvent[] }
  | { do: 'pause' | 'read on' | 'be cut' | 'catch up'; who: number }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('broadcast'), events: burst }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('broadcast'), events: small }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('turn') }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('come'), who, meanwhile: small }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('pause', 'read on', 'be cut', 'catch up'), who }) }
)

async function perform(clients: CheckedClients, step: Step): Promise<void> {
  if (step.do === 'broadcast') return clients.broadcast(step.events)
  if (step.do === 'turn') return turn()
  const connection = clients.connections.get(step.who)
  if (step.do === 'come') {
    if (connection === undefined) await clients.connect(step.who, step.meanwhile)
  } else if (step.do === 'catch up') {
    await clients.catchUp(step.who)
  } else if (step.do === 'be cut') {
    await clients.disconnect(step.who)
  } else if (step.do === 'read on') {
    connection?.client.resume()
  } else if (connection !== undefined) {
    connection.mayFallBehind = true
    connection.client.pause()
  }
}

const bounds: fc.Arbitrary<Bounds> = fc.record({
  events: fc.integer({ min: 1, max: 40 }),
  bytes: fc.constantFrom(2000, 100_000, 1_000_000),
  queueDepth: fc.integer({ min: 1, max: 40 }),
  overflow: fc.constantFrom('drop-oldest', 'drop-oldest', 'disconnect'),
  shards: fc.integer({ min: 1, max: 3 })
})

t.test(
  'whatever is broadcast, however clients stall, are cut and come back: each later event once, in order, or a resync in its place',
  async (t) => {
    const resyncs = { overflow: 0, expired: 0, unknown: 0, backplane: 0 }
    const property = fc.asyncProperty(
      bounds,
      fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }),
      async (bounds, steps) => {
        const { events, bytes, ...rest } = bounds
        const served = await serve(t, { transport: 'unix', sse: { history: { events, bytes }, ...rest } })
        const { app } = served
        try {
          const probe = await served.connect()
          const epoch = (await probe.waitForId()).split('-')[0]!
          await probe.close()
          const clients = new CheckedClients(served, new NaiveLog(epoch, bounds), bounds)
          for (const step of steps) await perform(clients, step)
          for (const who of CLIENTS) await clients.catchUp(who)
          for (const [reason, count] of Object.entries(app.sse.stats().resyncs))
            resyncs[reason as ResyncReason] += count
          for (const who of CLIENTS) await clients.disconnect(who)
        } finally {
          await app.close()
        }
      }
    )
    await fc.assert(property, { numRuns: 60, interruptAfterTimeLimit: 12_000 })
    t.ok(resyncs.overflow && resyncs.expired && resyncs.unknown, JSON.stringify(resyncs))
  }
)
