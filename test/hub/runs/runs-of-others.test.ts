import { EventEmitter, once } from 'node:events'
import t from 'tap'
import type { BackplaneListener, HistoryBounds, Parcel } from '../../../lib/backplane/backplane.js'
import { MemoryEngine, memoryBackplane } from '../../../lib/backplane/memory.js'
import { publisher } from '../../../lib/entries/publisher.js'
import { stopClock } from '../../kit/clock.js'
import { type Gate, gate } from '../../kit/deferred.js'
import { told } from '../../kit/runs.js'
import { type Served, serve } from '../../kit/server.js'
import { known, start } from '../../kit/shared-runs.js'
import { waitingForRun } from '../../kit/waiting.js'

/** Starts a run with the topic `x`, which gives one piece once its gate is open. */
function heldRun({ app }: Served): Gate {
  const held = gate()
  app.sse.run(
    async function* () {
      await held.pass()
      yield 1
    },
    { topic: 'x' }
  )
  return held
}

t.test(
  'pieces that are missing from the engine are told of by resync, to the listeners of their run alone',
  async (t) => {
    const engine = new MemoryEngine()
    const here = await start(t, memoryBackplane(engine))
    const there = await start(t, memoryBackplane(engine))
    const gates = [gate(), gate(), gate()]
    here.app.sse.run(
      async function* () {
        for (const [i, { pass }] of gates.entries()) {
          await pass()
          yield i
        }
      },
      { topic: 'x' }
    )
    await known(there, 'x')
    const [client, other] = [await there.listen('x'), await there.connect()]
    gates[0]!.open()
    await client.take(1)
    // The second piece gets to this process alone.
    const [deaf] = [...engine.listeners].slice(1)
    engine.listeners.delete(deaf!)
    gates[1]!.open()
    await known(here, 'x', 2)
    engine.listeners.add(deaf!)
    gates[2]!.open()
    await client.waitForEnd()
    t.strictSame(told(client).slice(1), [
      ['resync', { reason: 'backplane', missed: null }],
      [undefined, 2],
      ['done', null]
    ])
    there.app.sse.broadcast('end')
    t.equal((await other.next()).data, '"end"')
  }
)

t.test('a run ends here, too, where the engine does not take it, and its process sees that', async (t) => {
  const engine = new MemoryEngine()
  const inner = memoryBackplane(engine, { publishTimeout: 200 })
  let isAway = false
  const here = await start(t, {
    ...inner,
    publish: async (batch: readonly Parcel[]) => {
      if (isAway) throw new Error('away')
      return inner.publish(batch)
    }
  })
  const held = gate()
  const work = here.app.sse.run(
    async function* () {
      yield 1
      await held.pass()
      yield 2
    },
    { topic: 'x' }
  )
  const client = await here.listen('x', work.cursor)
  await client.take(1)
  isAway = true
  held.open()
  await client.waitForEnd(20_000)
  t.strictSame(told(client).at(-1), ['failed', { reason: 'error' }])
})

t.test('a request for a run that another process has yet to announce waits for it', async (t) => {
  const engine = new MemoryEngine()
  const here = await start(t, memoryBackplane(engine))
  const there = await serve(t, {
    sse: { backplane: memoryBackplane(engine), authorizeTopics: () => true },
    setup: (app) => {
      app.get('/run', (request, reply) => app.sse.stream(request, reply, { run: 'x' }))
      app.get('/other', (request, reply) => app.sse.stream(request, reply, { run: 'y' }))
    }
  })
  const listener = [...engine.listeners][1]!
  engine.listeners.delete(listener)
  const work = here.app.sse.run([1], { topic: 'x' })
  await work.finished
  await known(here, 'x', 2)
  const entries = [...engine.entries]
  const areWaiting = waitingForRun(t, 3)
  const byCursor = there.connect({ query: { topic: 'x', lastEventId: work.cursor } })
  const waiting = there.connect({ path: '/run' })
  const gone = there.connect({ path: '/other' })
  await areWaiting
  listener.onEntries(entries)
  for (const client of [await waiting, await byCursor]) {
    await client.waitForEnd()
    t.strictSame(told(client)[0], [undefined, 1])
  }
  t.equal((await gone).status, 410)
})

t.test('a run of another process that finds no room is skipped, and logged once', async (t) => {
  const engine = new MemoryEngine()
  const here = await start(t, memoryBackplane(engine))
  const there = await start(t, memoryBackplane(engine), { runs: { max: 1 } })
  for (const topic of ['a', 'b', 'c']) await here.app.sse.run([1], { topic }).finished
  const client = await there.listen('a')
  await client.waitForEnd()
  t.match(await there.log.waitFor(/finds no room/), { topic: 'b' })
  await known(here, 'c', 2)
  t.equal(there.log.matching(/finds no room/).length, 1)
})

t.test('another run with the same topic replaces one that has ended, and no other', async (t) => {
  const engine = new MemoryEngine()
  const here = await start(t, memoryBackplane(engine))
  const there = await start(t, memoryBackplane(engine))
  const first = here.app.sse.run([1], { topic: 'x' })
  await known(there, 'x', 2)
  here.app.sse.run([2], { topic: 'x' })
  for (;;) {
    const client = await there.listen('x')
    await client.waitForEnd()
    if (told(client)[0]?.[1] === 2) break
  }
  const late = await there.listen('x', first.cursor)
  await late.waitForEnd()
  t.strictSame(told(late), [
    ['resync', { reason: 'unknown', missed: null }],
    [undefined, 2],
    ['done', null]
  ])
  // Begun by two processes at once: each has its own, and keeps it.
  const held = gate()
  const source = (n: number) =>
    async function* () {
      await held.pass()
      yield n
    }
  here.app.sse.run(source(3), { topic: 'y' })
  there.app.sse.run(source(4), { topic: 'y' })
  const clients = [await here.listen('y'), await there.listen('y')]
  // Each has heard of the other's.
  await there.app.sse.publish('after that')
  await here.app.sse.publish('after both')
  held.open()
  for (const client of clients) await client.waitForEnd()
  t.strictSame(
    clients.map((client) => told(client)[0]?.[1]),
    [3, 4]
  )
})

t.test('while the engine is out of reach no run counts as lost, and a closing process waits for none', async (t) => {
  // So that nothing is lost before the test says so, however slow the machine.
  const clock = stopClock(t)
  const engine = new MemoryEngine()
  const here = await start(t, memoryBackplane(engine))
  const inner = memoryBackplane(engine)
  let listener: BackplaneListener | undefined
  const join = async (bounds: HistoryBounds, joining: BackplaneListener) => {
    listener = joining
    return inner.join(bounds, joining)
  }
  const there = await start(t, { ...inner, join }, { runs: { silence: 150 } })
  const held = heldRun(here)
  await known(there, 'x')
  const client = await there.listen('x')
  listener!.onState(false)
  // Without a fault it hears of the run less often than it takes for a sign of life. The other one would be lost before.
  const third = await start(t, memoryBackplane(engine), { runs: { silence: 600 } })
  const other = await third.listen('x')
  const passing = setInterval(() => clock.advance(50), 20)
  t.teardown(() => clearInterval(passing))
  await other.until(({ event }) => event === 'failed')
  t.strictSame(client.events, [])
  listener!.onState(true)
  await client.until(({ event }) => event === 'failed')
  clearInterval(passing)
  t.strictSame(told(client), [['failed', { reason: 'lost' }]])
  const { lastEventId } = client
  t.equal((await there.connect({ query: { topic: 'x', lastEventId } })).status, 204)
  held.open()
  const elsewhere = await here.listen('x', lastEventId)
  await elsewhere.waitForEnd()
  t.strictSame(
    told(elsewhere),
    [
      ['resync', { reason: 'unknown', missed: null }],
      [undefined, 1],
      ['done', null]
    ],
    'where the run goes on, nothing of it is taken for received'
  )
  const isWaiting = waitingForRun(t, 1)
  const waiting = there.connect({ query: { topic: 'y', lastEventId: 'r0123456789ab-1' } })
  await isWaiting
  await there.app.close()
  // One that waits on is cut a second after that, without an answer.
  t.ok(await (await waiting).waitForRetry())
})

t.test(
  'after a standstill of this process no run counts as lost whose process has been heard of meanwhile',
  async (t) => {
    const clock = stopClock(t)
    const engine = new MemoryEngine()
    const here = await start(t, memoryBackplane(engine))
    const inner = memoryBackplane(engine)
    const looks = new EventEmitter()
    // With each look it tells which runs have listeners here.
    const publish = async (batch: readonly Parcel[]) => {
      for (const _ of batch) looks.emit('look')
      return inner.publish(batch)
    }
    const there = await start(t, { ...inner, publish }, { runs: { silence: 150 } })
    const held = heldRun(here)
    await known(there, 'x')
    const client = await there.listen('x')
    await once(looks, 'look')
    clock.advance(1000)
    await once(looks, 'look')
    held.open()
    await client.until(({ event }) => event === 'done')
    t.strictSame(told(client), [
      [undefined, 1],
      ['done', null]
    ])
  }
)

t.test('a publisher without clients takes no notice of runs', async (t) => {
  const engine = new MemoryEngine()
  const here = await start(t, memoryBackplane(engine))
  const client = await here.connect()
  const script = publisher(memoryBackplane(engine))
  await script.publish('before')
  const work = here.app.sse.run([1, 2], { topic: 'x' })
  await work.finished
  await known(here, 'x', 3)
  await script.publish('after')
  t.strictSame(
    (await client.take(2)).map(({ data }) => data),
    ['"before"', '"after"']
  )
  await script.close()
})
