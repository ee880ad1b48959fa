import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { HISTORY, MEMBERS, MemberModel, PATTERNS, QUEUE_DEPTH, TOPICS } from '../kit/member-model.js'
import { serve } from '../kit/server.js'
import { Arrivals } from '../kit/topics.js'
import { Watch } from '../kit/watch.js'

const who = fc.nat(MEMBERS - 1)
const pattern = fc.constantFrom(...PATTERNS)
const bursts = fc.constantFrom(5, HISTORY, 2 * HISTORY)
const size = fc.constantFrom(0, 0, 0, 30_000, 120_000)

type Step = (model: MemberModel) => unknown

/** A step that tells what it is when a run fails. */
function step<Args extends unknown[]>(
  name: Exclude<keyof MemberModel, 'settle' | 'leave'>,
  ...args: { [I in keyof Args]: fc.Arbitrary<Args[I]> }
): fc.Arbitrary<Step> {
  return fc.tuple<Args>(...args).map((given) =>
    Object.assign((model: MemberModel) => (model[name] as (...args: unknown[]) => unknown)(...given), {
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
    (model: MemberModel) => model.broadcast(undefined, 30_000),
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
  const model = new MemberModel(served, arrivals, population)
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
