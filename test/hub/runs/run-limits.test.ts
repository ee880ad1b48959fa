import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { hubs } from '../../../lib/hub/hubs.js'
import { LibTimers } from '../../kit/lib-timers.js'
import { eventually } from '../../kit/processes.js'
import { serveRuns, steps, told } from '../../kit/runs.js'
import { serve } from '../../kit/server.js'

t.test('a run lingers after its end, and is gone then: a request for it is answered 410', async (t) => {
  const s = await serveRuns(t)
  t.equal((await s.listen('x')).status, 410)
  const from = performance.now()
  await s.app.sse.run([1], { topic: 'x', linger: 100 }).finished
  // Without a request, which might come too late on a slow machine.
  const { runner } = hubs.get(s.app.sse)!
  t.ok(runner.find('x'), 'it lingers')
  await s.app.sse.run([1], { topic: 'y' }).finished
  while (runner.find('x')) await turn()
  // Timers may be a little early.
  t.ok(performance.now() - from > 90, 'for so long')
  t.equal((await s.listen('x')).status, 410)
  t.equal((await s.listen('y')).status, 200)
})

t.test('a run that begins after a while without runs is still stopped by abandonAfter', async (t) => {
  const s = await serveRuns(t, { runs: { silence: 100 } })
  const timers = new LibTimers(t)
  await s.app.sse.run([1], { topic: 'x', linger: 0 }).finished
  t.ok(timers.count > 0)
  await eventually(() => timers.pending.length === 0, 'nobody looks after runs')
  const { source, seen } = steps(1)
  const work = s.app.sse.run(source, { topic: 'y', abandonAfter: 50 })
  await work.finished
  t.strictSame(seen, ['aborted'])
  t.equal(s.app.sse.stopRun('y'), false)
})

t.test('the topic of a run under way is taken; one that has ended makes room', async (t) => {
  const s = await serveRuns(t)
  const { source, gates } = steps(1)
  const work = s.app.sse.run(source, { topic: 'x' })
  t.throws(() => s.app.sse.run([1], { topic: 'x' }), { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: /topic/ })
  gates[0]!.open()
  await work.finished
  s.app.sse.run([7], { topic: 'x' })
  const client = await s.listen('x')
  await client.waitForEnd()
  t.strictSame(told(client)[0], [undefined, 7])
})

t.test('the runs and their bytes are bounded, with a clear error', async (t) => {
  const s = await serveRuns(t, { runs: { max: 2, bytes: 10_000 } })
  await s.app.sse.run([1], { topic: 'a' }).finished
  await s.app.sse.run(Array(100).fill('x'.repeat(500)), { topic: 'b' }).finished
  t.throws(() => s.app.sse.run([1], { topic: 'c' }), { code: 'PYLON_SSE_ERR_RUNS_FULL', statusCode: 503 })
  const client = await s.listen('b')
  await client.waitForEnd()
  t.strictSame(told(client).at(-1), ['failed', { reason: 'error' }])
  t.ok(client.events.length < 25)
})

t.test('invalid options of a run are refused by name', async (t) => {
  const s = await serveRuns(t)
  const bad: [options: unknown, message: RegExp][] = [
    [undefined, /'options' got undefined/],
    [{}, /'topic'/],
    [{ topic: 'a.*' }, /'topic' got 'a\.\*'/],
    [{ topic: 'a', liger: 5 }, /'liger' does not exist; did you mean 'linger'/],
    [{ topic: 'a', linger: -1 }, /'linger' got -1; it takes a whole number from 0 to/],
    [{ topic: 'a', maxEvents: 0 }, /'maxEvents'.*from 1\./],
    [{ topic: 'a', maxBytes: '5' }, /'maxBytes' got '5'/],
    [{ topic: 'a', abandonAfter: 0.5 }, /'abandonAfter'/],
    [{ topic: 'a', signal: null }, /'signal' got null/],
    [{ topic: 'a', describeError: 'x' }, /'describeError'/],
    [{ topic: 'a', event: 'done' }, /another name: the end of a run/]
  ]
  for (const [options, message] of bad) t.throws(() => s.app.sse.run([1], options as never), { message })
  for (const options of [{ run: 'a\nb' }, { run: 'a', topics: ['b'] }, { run: 'a', until: 'x' }]) {
    const app = await serve(t, { setup: (app) => void app.get('/x', (q, r) => app.sse.stream(q, r, options)) })
    t.equal((await fetch(`${app.url}/x`)).status, 500)
  }
})
