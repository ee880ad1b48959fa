import t from 'tap'
import { LogLines } from '../../kit/log-lines.js'
import { serveRuns, told } from '../../kit/runs.js'

t.test('a source that throws ends its run with failed, and listeners learn nothing of the error', async (t) => {
  const log = new LogLines()
  const s = await serveRuns(t, {}, { fastify: { logger: { level: 'error', stream: log } } })
  const fail = async function* () {
    yield 1
    throw new Error('the password is 1234')
  }
  s.app.sse.run(fail, { topic: 'a' })
  s.app.sse.run(fail, { topic: 'b', describeError: () => 'The model is busy.' })
  s.app.sse.run(fail, {
    topic: 'c',
    describeError: () => {
      throw new Error('too')
    }
  })
  const data: Record<string, unknown> = {
    a: { reason: 'error' },
    b: { reason: 'error', message: 'The model is busy.' },
    c: { reason: 'error' }
  }
  for (const [topic, failed] of Object.entries(data)) {
    const client = await s.listen(topic)
    await client.waitForEnd()
    t.strictSame(told(client), [
      [undefined, 1],
      ['failed', failed]
    ])
  }
  t.match(await log.waitFor('SSE: a run has failed'), { topic: 'a', err: { message: 'the password is 1234' } })
})

const wrong: Record<string, () => unknown> = {
  'no iterable': () => 7,
  'a string': () => 'text',
  nothing: () => null,
  'a piece that cannot be serialised': () => [undefined],
  'a piece by the name of the end': () => [{ event: 'done', data: 1 }]
}
for (const [what, source] of Object.entries(wrong)) {
  t.test(`a run fails whose source gives ${what}`, async (t) => {
    const s = await serveRuns(t)
    await s.app.sse.run(source as never, { topic: 'x' }).finished
    const client = await s.listen('x')
    await client.waitForEnd()
    t.strictSame(told(client), [['failed', { reason: 'error' }]])
  })
}

t.test('a run whose return value cannot be serialised fails', async (t) => {
  const s = await serveRuns(t)
  // biome-ignore lint/correctness/useYield: it has nothing to give
  s.app.sse.run(function* () { return 1n }, { topic: 'x' }) // biome-ignore format: short
  const client = await s.listen('x')
  await client.waitForEnd()
  t.strictSame(told(client), [['failed', { reason: 'error' }]])
})

t.test('a run that is stopped ends as stopped, even if the finally of its generator throws', async (t) => {
  const s = await serveRuns(t)
  const work = s.app.sse.run(
    function* () {
      try {
        for (;;) yield 1
      } finally {
        // biome-ignore lint/correctness/noUnsafeFinally: that is what is tried
        throw new Error('of the app')
      }
    },
    { topic: 'x' }
  )
  const client = await s.listen('x')
  await client.take(1)
  work.stop()
  await work.finished
  await client.waitForEnd()
  t.strictSame(told(client).at(-1), ['failed', { reason: 'stopped' }])
})
