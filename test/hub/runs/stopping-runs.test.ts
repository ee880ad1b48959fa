import { Readable } from 'node:stream'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { Run } from '../../../lib/index.js'
import { stopClock } from '../../kit/clock.js'
import { deferred } from '../../kit/deferred.js'
import { serveRuns, steps, told } from '../../kit/runs.js'

t.test('stop() and stopRun() abort the signal, let finally run, and tell listeners', async (t) => {
  const s = await serveRuns(t)
  const stops: Record<string, (work: Run) => void> = {
    a: (work) => work.stop(),
    b: () => t.equal(s.app.sse.stopRun('b'), true)
  }
  for (const [topic, stop] of Object.entries(stops)) {
    const { source, gates, seen } = steps(3)
    const work = s.app.sse.run(source, { topic })
    const client = await s.listen(topic)
    gates[0]!.open()
    await client.take(1)
    stop(work)
    await client.waitForEnd()
    t.strictSame(told(client).at(-1), ['failed', { reason: 'stopped' }])
    await work.finished
    t.strictSame(seen, ['aborted'])
    work.stop()
    t.equal(s.app.sse.stopRun(topic), false, 'it has ended')
  }
  t.equal(s.app.sse.stopRun('another'), false)
})

t.test('a signal of the app stops a run, before it has begun, too', async (t) => {
  const s = await serveRuns(t)
  const controller = new AbortController()
  const { source, seen } = steps(1)
  const work = s.app.sse.run(source, { topic: 'a', signal: controller.signal })
  const client = await s.listen('a')
  controller.abort()
  await client.waitForEnd()
  await work.finished
  t.strictSame(seen, ['aborted'])
  const early = s.app.sse.run([1, 2], { topic: 'b', signal: controller.signal })
  await early.finished
  const other = await s.listen('b')
  await other.waitForEnd()
  t.strictSame(told(other), [['failed', { reason: 'stopped' }]])
})

t.test('a silent stream is destroyed when its run is stopped', async (t) => {
  const s = await serveRuns(t)
  const [asked, pulled, called] = [deferred(), deferred(), deferred()]
  const node = new Readable({ read: () => asked.resolve() })
  const cancelled = deferred<unknown>()
  const web = new ReadableStream({
    pull: () => pulled.resolve(),
    cancel: () => cancelled.resolve('cancelled')
  })
  const works = [s.app.sse.run(node, { topic: 'a' }), s.app.sse.run(web, { topic: 'b' })]
  const late = new Readable({ read() {} })
  works.push(
    s.app.sse.run(
      ({ signal }) => {
        called.resolve()
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve(late)))
      },
      { topic: 'c' }
    )
  )
  await Promise.all([asked.promise, pulled.promise, called.promise])
  for (const work of works) work.stop()
  await Promise.all(works.map(({ finished }) => finished))
  t.ok(node.destroyed)
  t.ok(late.destroyed, 'also one that is given after that')
  t.equal(await cancelled.promise, 'cancelled')
})

t.test('abandonAfter stops a run that nobody listens to', async (t) => {
  const clock = stopClock(t)
  const s = await serveRuns(t, { runs: { silence: 300 } })
  const { source, seen } = steps(1)
  const work = s.app.sse.run(source, { topic: 'x', abandonAfter: 200 })
  const client = await s.listen('x')
  const unheard = s.app.sse.run(steps(1).source, { topic: 'unheard', abandonAfter: 200 })
  clock.advance(200)
  await unheard.finished
  t.strictSame(seen, [], 'somebody listens')
  await client.close()
  while (s.app.sse.clientCount > 0) await turn()
  clock.advance(200)
  await work.finished
  t.strictSame(seen, ['aborted'])
  const again = await s.listen('x')
  await again.waitForEnd()
  t.strictSame(told(again), [['failed', { reason: 'abandoned' }]])
})

t.test('closing stops the runs, waits for their finally, and tells their listeners', async (t) => {
  const s = await serveRuns(t)
  const ends: string[] = []
  s.app.sse.run(
    async function* ({ signal }) {
      try {
        yield 1
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      } finally {
        await sleep(20)
        ends.push('finally')
      }
    },
    { topic: 'x' }
  )
  s.app.sse.run(() => new Promise(() => {}), { topic: 'never' })
  const client = await s.listen('x')
  await client.take(1)
  const from = performance.now()
  await s.app.close()
  t.ok(performance.now() - from < 3000, 'one that never ends holds nothing up')
  t.strictSame(ends, ['finally'])
  t.strictSame(told(client).at(-1), ['failed', { reason: 'closed' }])
  t.ok(client.ended)
  t.throws(() => s.app.sse.run([1], { topic: 'late' }), { code: 'PYLON_SSE_ERR_RUNS_FULL' })
})
