import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { Backplane, BackplaneListener, HistoryBounds, Parcel } from '../../../lib/backplane/backplane.js'
import { MemoryEngine, memoryBackplane } from '../../../lib/backplane/memory.js'
import { jetStream } from '../../../lib/backplane/nats/jetstream.js'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { publisher } from '../../../lib/entries/publisher.js'
import type { PylonSseOptions } from '../../../lib/index.js'
import { type Process, startProcess } from '../../kit/backplane-faults.js'
import { gate } from '../../kit/deferred.js'
import { startNats } from '../../kit/nats-server.js'
import { startRedis } from '../../kit/redis-server.js'
import { RUN_SOURCES } from '../../kit/run-sources.js'
import { serve } from '../../kit/server.js'
import type { SseClient } from '../../kit/sse-client.js'
import { waitingForRun } from '../../kit/waiting.js'

t.setTimeout(240_000)

interface SharedEngine {
  backplane(): Backplane
  /** For a process of its own; nothing where it has to be this one. */
  readonly process?: [name: string, options: object]
}

const engines: Record<string, (t: Test) => Promise<SharedEngine | undefined>> = {
  memory: async () => {
    const engine = new MemoryEngine()
    return { backplane: () => memoryBackplane(engine) }
  },
  'Redis Streams': async (t) => {
    const redis = await startRedis(t)
    if (redis === undefined) return undefined
    const options = { url: `redis://127.0.0.1:${redis.port}` }
    return { backplane: () => redisStreams(options), process: ['redis', options] }
  },
  JetStream: async (t) => {
    const nats = await startNats(t)
    if (nats === undefined) return undefined
    const options = { servers: `nats://127.0.0.1:${nats.port}` }
    return { backplane: () => jetStream(options), process: ['nats', options] }
  }
}

/** A process with a route `/runs/:topic`. */
async function start(t: Test, backplane: Backplane, sse: PylonSseOptions = {}) {
  const s = await startProcess(t, backplane, { runs: { silence: 900 }, ...sse })
  return { ...s, listen: (topic: string, lastEventId?: string) => listen(s, topic, lastEventId) }
}

/** By the plugin's own route, as a page does that has been told the topic. */
async function listen(s: Process, topic: string, lastEventId?: string): Promise<SseClient> {
  return s.connect({ query: { topic }, ...(lastEventId !== undefined && { lastEventId }) })
}

const told = ({ events }: SseClient) => events.map(({ event, data }) => [event, JSON.parse(data)])

/** A source that gives nothing, and ends when it is stopped. */
async function* untilAbort({ signal }: { signal: AbortSignal }) {
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
  yield* []
}

/** Resolves when a process knows of a run. */
async function known({ url }: Process, topic: string, events = 0): Promise<void> {
  for (;;) {
    const response = await fetch(`${url}/events?topic=${topic}`, { headers: { accept: 'application/json' } })
    const page = (await response.json()) as { cursor: string; events: unknown[] }
    if (/^r\w{12}-\d+$/.test(page.cursor) && page.events.length >= events) return
  }
}

for (const [name, begin] of Object.entries(engines)) {
  t.test(`over ${name}`, async (t) => {
    const engine = await begin(t)
    if (engine === undefined) return
    const here = await start(t, engine.backplane())
    const there = await start(t, engine.backplane())

    await t.test('a run can be followed, and resumed, on every process', async (t) => {
      const gates = Array.from({ length: 4 }, () => gate())
      const work = here.app.sse.run(
        async function* () {
          for (const [i, { pass }] of gates.entries()) {
            await pass()
            yield i
          }
          return 'all'
        },
        { topic: 'resumed' }
      )
      await known(there, 'resumed')
      const first = await there.listen('resumed', work.cursor)
      gates[0]!.open()
      gates[1]!.open()
      await first.take(2)
      await first.close()
      for (const { open } of gates) open()
      // A process that has not read it from the engine yet does not know the id, and answers with `resync`.
      await known(here, 'resumed', 2)
      const second = await here.listen('resumed', first.lastEventId)
      await second.waitForEnd()
      t.strictSame(told(second), [
        [undefined, 2],
        [undefined, 3],
        ['done', 'all']
      ])
      await known(there, 'resumed', 5)
      const whole = await there.listen('resumed')
      await whole.waitForEnd()
      t.strictSame(
        whole.events.map(({ id }) => id),
        [1, 2, 3, 4, 5].map((n) => `${work.cursor.slice(0, -1)}${n}`),
        'by the same ids'
      )
      t.equal((await there.listen('resumed', second.lastEventId)).status, 204)
    })

    await t.test('a process that starts later has as much of a run as the engine holds', async (t) => {
      const { finished } = here.app.sse.run(['a', 'b'], { topic: 'earlier' })
      await finished
      await known(here, 'earlier', 3)
      const late = await start(t, engine.backplane())
      const client = await late.listen('earlier')
      await client.waitForEnd()
      t.strictSame(told(client), [
        [undefined, 'a'],
        [undefined, 'b'],
        ['done', null]
      ])
      t.equal(late.app.sse.stats().events, 0, 'and it is no event of the hub')
    })

    await t.test('stopRun stops it from another process', async (t) => {
      let isAborted = false
      here.app.sse.run(
        ({ signal }) =>
          (async function* () {
            yield 1
            await new Promise((resolve) => signal.addEventListener('abort', resolve))
            isAborted = signal.aborted
          })(),
        { topic: 'stopped' }
      )
      await known(there, 'stopped', 1)
      const client = await there.listen('stopped')
      t.equal(there.app.sse.stopRun('stopped'), true)
      await client.waitForEnd()
      t.strictSame(told(client).at(-1), ['failed', { reason: 'stopped' }])
      t.ok(isAborted)
    })

    await t.test('a run with listeners only on another process is not abandoned', async (t) => {
      const work = here.app.sse.run(untilAbort, { topic: 'heard', abandonAfter: 900 })
      await known(there, 'heard')
      const client = await there.listen('heard')
      await here.app.sse.run(untilAbort, { topic: 'unheard', abandonAfter: 900 }).finished
      t.strictSame(client.events, [])
      await client.close()
      await work.finished
      const last = await here.listen('heard')
      await last.waitForEnd()
      t.strictSame(told(last), [['failed', { reason: 'abandoned' }]])
    })

    if (engine.process !== undefined) {
      await t.test(
        'a run whose process is killed ends with failed, reason lost, in the time of runs.silence',
        async (t) => {
          const child = await startRun(t, engine.process!)
          await known(there, 'endless', 5)
          const client = await there.listen('endless')
          await client.take(5)
          const from = performance.now()
          const exit = once(child, 'exit')
          child.kill('SIGKILL')
          await exit
          await client.waitForEnd(30_000)
          t.strictSame(told(client).at(-1), ['failed', { reason: 'lost' }])
          const numbers = told(client)
            .slice(0, -1)
            .map(([, n]) => n)
          t.strictSame(
            numbers,
            numbers.map((_, i) => i + 1),
            'each piece that got out, once'
          )
          t.ok(performance.now() - from > 500)
          t.equal((await there.listen('endless', client.lastEventId)).status, 204)
        }
      )
    }
  })
}

async function startRun(t: Test, [name, options]: [string, object]): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('../../kit/run-process.js', import.meta.url))
  const child = fork(program, [name, JSON.stringify(options)], { execArgv: RUN_SOURCES })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child, 'message')
  return child
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
  const engine = new MemoryEngine()
  const here = await start(t, memoryBackplane(engine))
  const inner = memoryBackplane(engine)
  let listener: BackplaneListener | undefined
  const join = async (bounds: HistoryBounds, joining: BackplaneListener) => {
    listener = joining
    return inner.join(bounds, joining)
  }
  const there = await start(t, { ...inner, join }, { runs: { silence: 150 } })
  here.app.sse.run(() => new Promise(() => {}), { topic: 'x' })
  await known(there, 'x')
  const client = await there.listen('x')
  listener!.onState(false)
  // Without a fault it hears of the run less often than it takes for a sign of life.
  const third = await start(t, memoryBackplane(engine), { runs: { silence: 150 } })
  const other = await third.listen('x')
  await other.until(({ event }) => event === 'failed')
  t.strictSame(client.events, [])
  listener!.onState(true)
  await client.until(({ event }) => event === 'failed')
  t.strictSame(told(client), [['failed', { reason: 'lost' }]])
  const isWaiting = waitingForRun(t, 1)
  const waiting = there.connect({ query: { topic: 'y', lastEventId: 'r0123456789ab-1' } })
  await isWaiting
  const from = performance.now()
  await there.app.close()
  t.ok(performance.now() - from < 1900)
  t.ok(await (await waiting).waitForRetry())
})

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
