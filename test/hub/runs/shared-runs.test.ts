import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import t from 'tap'
import type { Backplane } from '../../../lib/backplane/backplane.js'
import { MemoryEngine, memoryBackplane } from '../../../lib/backplane/memory.js'
import { jetStream } from '../../../lib/backplane/nats/jetstream.js'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { gate } from '../../kit/deferred.js'
import { startNats } from '../../kit/nats-server.js'
import { startRedis } from '../../kit/redis-server.js'
import { RUN_SOURCES } from '../../kit/run-sources.js'
import { told } from '../../kit/runs.js'
import { known, SHORT, start } from '../../kit/shared-runs.js'

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

/** A source that gives nothing, and ends when it is stopped. */
async function* untilAbort({ signal }: { signal: AbortSignal }) {
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
  yield* []
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
      const runs = { silence: SHORT }
      const here = await start(t, engine.backplane(), { runs })
      const there = await start(t, engine.backplane(), { runs })
      const work = here.app.sse.run(untilAbort, { topic: 'heard', abandonAfter: SHORT })
      await known(there, 'heard')
      const client = await there.listen('heard')
      await here.app.sse.run(untilAbort, { topic: 'unheard', abandonAfter: SHORT }).finished
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
          const there = await start(t, engine.backplane(), { runs: { silence: SHORT } })
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
