import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { Work } from '../../../lib/hub/runs/work.js'
import type { PylonSseOptions, Run } from '../../../lib/index.js'
import { eventually } from '../../kit/backplane-faults.js'
import { deferred, gate } from '../../kit/deferred.js'
import { LibTimers } from '../../kit/lib-timers.js'
import { LogLines } from '../../kit/log-lines.js'
import { type ServeOptions, serve } from '../../kit/server.js'
import type { SseClient } from '../../kit/sse-client.js'

/** An app whose route `/runs/:topic` is the stream of a run. */
async function serveRuns(t: Test, sse: PylonSseOptions = {}, more: ServeOptions = {}) {
  const setup = (app: FastifyInstance) => {
    app.get('/runs/:topic', (request, reply) =>
      app.sse.stream(request, reply, { run: (request.params as { topic: string }).topic })
    )
  }
  const s = await serve(t, { setup, sse: { authorizeTopics: () => true, ...sse }, ...more })
  const listen = (topic: string, lastEventId?: string) =>
    s.connect({ path: `/runs/${topic}`, ...(lastEventId !== undefined && { lastEventId }) })
  return { ...s, listen }
}

/** What a client has been told, as names and data. */
const told = ({ events }: SseClient) => events.map(({ event, data }) => [event, JSON.parse(data)])

/** A generator that gives numbers when it is told to. */
function steps(count: number) {
  const gates = Array.from({ length: count }, () => gate())
  const seen: string[] = []
  async function* source({ signal }: { signal: AbortSignal }) {
    try {
      for (const [i, { pass }] of gates.entries()) {
        await Promise.race([
          pass(),
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        ])
        yield i
      }
      return 'all'
    } finally {
      seen.push(signal.aborted ? 'aborted' : 'finally')
    }
  }
  return { source, gates, seen }
}

t.test('a run publishes what a generator yields, and ends with done and the return value', async (t) => {
  const s = await serveRuns(t)
  const work = s.app.sse.run(
    async function* () {
      yield { event: 'token', data: 'a' }
      yield 'b'
      yield { data: { c: 1 } }
      yield { id: 7, data: 'a row' }
      return { tokens: 4 }
    },
    { topic: 'answer.1', event: 'piece' }
  )
  t.equal(work.topic, 'answer.1')
  t.match(work.cursor, /^r\w{12}-0$/)
  const client = await s.listen('answer.1')
  await client.waitForEnd()
  t.strictSame(told(client), [
    ['token', 'a'],
    ['piece', 'b'],
    ['piece', { c: 1 }],
    ['piece', { id: 7, data: 'a row' }],
    ['done', { tokens: 4 }]
  ])
  t.equal((await s.listen('answer.1', client.lastEventId)).status, 204, 'who has had it all need not come back')
  t.equal(s.app.sse.stats().disconnects.completed, 1)
})

const sources: Record<string, () => Parameters<FastifyInstance['sse']['run']>[0]> = {
  'a sync iterable': () => [1, 2],
  'a generator function that is not async': () =>
    function* () {
      yield 1
      yield 2
    },
  'an async iterable': () =>
    (async function* () {
      yield 1
      yield 2
    })(),
  'a Node stream': () => Readable.from([1, 2]),
  'a web stream': () => ReadableStream.from([1, 2]) as ReadableStream,
  'a function that gives a stream later': () => async () => Readable.from([1, 2])
}
for (const [what, make] of Object.entries(sources)) {
  t.test(`a run takes ${what}`, async (t) => {
    const s = await serveRuns(t)
    s.app.sse.run(make(), { topic: 'x' })
    const client = await s.listen('x')
    await client.waitForEnd()
    t.strictSame(told(client).slice(0, 2), [
      [undefined, 1],
      [undefined, 2]
    ])
    t.equal(client.events[2]?.event, 'done')
  })
}

t.test('bytes of a stream arrive as text', async (t) => {
  const s = await serveRuns(t)
  s.app.sse.run(Readable.from([Buffer.from('häl'), Buffer.from('lo')]), { topic: 'x' })
  const client = await s.listen('x')
  await client.waitForEnd()
  t.strictSame(told(client).slice(0, 2), [
    [undefined, 'häl'],
    [undefined, 'lo']
  ])
})

t.test('a run continues without its listener, who gets the rest on return, each piece once', async (t) => {
  const s = await serveRuns(t)
  const { source, gates } = steps(4)
  const work = s.app.sse.run(source, { topic: 'x' })
  const first = await s.listen('x')
  for (const { open } of gates.slice(0, 2)) open()
  await first.take(2)
  await first.close()
  gates[2]!.open()
  gates[3]!.open()
  await work.finished
  const again = await s.listen('x', first.lastEventId)
  await again.waitForEnd()
  t.strictSame(told(again), [
    [undefined, 2],
    [undefined, 3],
    ['done', 'all']
  ])
  // A page that is loaded anew has no last event id.
  for (const path of ['/runs/x', '/runs/x?lastEventId=0']) {
    const fresh = await s.connect({ path })
    await fresh.waitForEnd()
    t.equal(fresh.events.length, 5)
  }
})

t.test('a run answers the request that began it, or is heard at /events by topic and cursor', async (t) => {
  const s = await serve(t, {
    sse: { authorizeTopics: () => true },
    setup: (app) => {
      app.post('/answers', async (request, reply) => {
        const work = app.sse.run(['a', 'b'], { topic: 'answer' })
        return app.sse.stream(request, reply, work.stream)
      })
    }
  })
  const answer = await fetch(`${s.url}/answers`, { method: 'POST' })
  t.match(
    await answer.text(),
    /data: "a"\n\n: topic answer\nid: .*\ndata: "b"\n\n: topic answer\nid: .*\nevent: done\ndata: null\n\n$/
  )
  const { cursor } = s.app.sse.run(['c'], { topic: 'other' })
  const client = await s.connect({ query: { topic: 'other', lastEventId: cursor } })
  await client.waitForEnd()
  t.strictSame(told(client), [
    [undefined, 'c'],
    ['done', null]
  ])
  const page = await s.connect({ path: '/events?topic=other', headers: { accept: 'application/json' } })
  await page.waitForEnd()
  t.match(JSON.parse(page.body), { events: [{ data: 'c' }, { event: 'done' }], hasMore: false })
})

t.test('a run and the hub do not evict each other, nor hear each other', async (t) => {
  const s = await serveRuns(t, { history: { events: 5 } })
  const everyone = await s.connect({ query: { topic: '**' } })
  const cursor = (await everyone.waitForId())!
  s.app.sse.broadcast('kept')
  const work = s.app.sse.run(Array(100).keys(), { topic: 'x' })
  await work.finished
  for (let i = 0; i < 3; i++) s.app.sse.broadcast(i)
  t.strictSame(
    (await everyone.take(4)).map(({ data }) => JSON.parse(data)),
    ['kept', 0, 1, 2]
  )
  t.equal((await (await s.connect({ lastEventId: cursor })).next()).data, '"kept"')
  for (let i = 0; i < 20; i++) s.app.sse.broadcast(i)
  const client = await s.listen('x')
  await client.waitForEnd()
  t.equal(client.events.length, 101)
})

t.test('a listener that has missed evicted pieces gets a resync, and then those that are held', async (t) => {
  const s = await serveRuns(t)
  const { source, gates } = steps(10)
  const work = s.app.sse.run(source, { topic: 'x', maxEvents: 3 })
  const early = await s.listen('x')
  gates[0]!.open()
  const [first] = await early.take(1)
  await early.close()
  for (const { open } of gates) open()
  await work.finished
  const again = await s.listen('x', first!.id!)
  await again.waitForEnd()
  t.strictSame(told(again), [
    ['resync', { reason: 'expired', missed: 7 }],
    [undefined, 8],
    [undefined, 9],
    ['done', 'all']
  ])
  const unknown = await s.listen('x', 'never-given')
  await unknown.waitForEnd()
  t.strictSame(told(unknown)[0], ['resync', { reason: 'unknown', missed: null }])
  t.equal(unknown.events.length, 4)
})

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

t.test('a return value that cannot be serialised fails, too', async (t) => {
  const s = await serveRuns(t)
  // biome-ignore lint/correctness/useYield: it has nothing to give
  s.app.sse.run(function* () { return 1n }, { topic: 'x' }) // biome-ignore format: short
  const client = await s.listen('x')
  await client.waitForEnd()
  t.strictSame(told(client), [['failed', { reason: 'error' }]])
})

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

t.test('an error in the finally of a generator changes nothing', async (t) => {
  const s = await serveRuns(t)
  const works = [
    s.app.sse.run(
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
  ]
  const client = await s.listen('x')
  await client.take(1)
  works[0]!.stop()
  await works[0]!.finished
})

t.test('a source that never waits is held until its listeners have been offered its pieces', async (t) => {
  let turns = 0
  let accepted = 0
  const work = new Work(Array(65).keys(), {
    accept: () => void accepted++,
    get isOffered() {
      t.equal(accepted, 64)
      return ++turns === 3
    },
    done: () => t.equal(accepted, 65),
    failed: () => t.fail()
  })
  await work.finished
  t.equal(turns, 3)
})

t.test('the next piece is requested once the last is accepted, and other work is served in between', async (t) => {
  const s = await serveRuns(t, { history: { events: 10 } })
  let given = 0
  const work = s.app.sse.run(
    function* () {
      while (given < 5000) yield given++
    },
    { topic: 'x', maxEvents: 10_000 }
  )
  const client = await s.listen('x')
  t.ok(given < 5000, 'the request was served while a source gave without waiting')
  await client.waitForEnd()
  await work.finished
  t.equal(client.events.length, 5001)
})

t.test('a slow listener gets everything that its run holds, and slows nothing down', async (t) => {
  const s = await serveRuns(t)
  const piece = 'x'.repeat(10_000)
  const work = s.app.sse.run(Array(2000).fill(piece), { topic: 'x', maxBytes: 40 * 1024 * 1024 })
  const slow = await s.connect({ path: '/runs/x', stuckBefore: 'body' })
  await work.finished
  slow.resume()
  await slow.waitForEnd(60_000)
  t.equal(slow.events.length, 2001)
})

t.test('abandonAfter stops a run that nobody listens to', async (t) => {
  const s = await serveRuns(t, { runs: { silence: 300 } })
  const { source, seen } = steps(1)
  const work = s.app.sse.run(source, { topic: 'x', abandonAfter: 200 })
  const client = await s.listen('x')
  await s.app.sse.run(steps(1).source, { topic: 'unheard', abandonAfter: 200 }).finished
  t.strictSame(seen, [], 'somebody listens')
  await client.close()
  await work.finished
  t.strictSame(seen, ['aborted'])
  const again = await s.listen('x')
  await again.waitForEnd()
  t.strictSame(told(again), [['failed', { reason: 'abandoned' }]])
})

t.test('a run lingers after its end, and is gone then: a request for it is answered 410', async (t) => {
  const s = await serveRuns(t)
  t.equal((await s.listen('x')).status, 410)
  await s.app.sse.run([1], { topic: 'x', linger: 100 }).finished
  await s.app.sse.run([1], { topic: 'y' }).finished
  t.equal((await s.listen('x')).status, 200)
  while ((await s.listen('x')).status !== 410);
  t.equal((await s.listen('y')).status, 200)
})

t.test('runs are looked after again when there were none for a while', async (t) => {
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

t.test('a client of a run gets only its events, and can be selected, sent to and disconnected', async (t) => {
  const s = await serveRuns(t)
  const { source, gates } = steps(1)
  s.app.sse.run(source, { topic: 'x' })
  const client = await s.listen('x')
  const [{ id }] = [...s.app.sse.clients] as unknown as [{ id: string }]
  t.equal(s.app.sse.subscribe({ id }, 'news'), 0)
  s.app.sse.broadcast('news', { topic: 'news' })
  s.app.sse.broadcast('for everyone')
  s.app.sse.send({ topic: 'x' }, 'alone')
  gates[0]!.open()
  await client.waitForEnd()
  t.strictSame(told(client), [
    [undefined, 'alone'],
    [undefined, 0],
    ['done', 'all']
  ])
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

t.test('a thousand runs at once come through, each to its own listener', async (t) => {
  const s = await serveRuns(t, { maxClientsPerIp: false })
  const works = Array.from({ length: 1000 }, (_, n) =>
    s.app.sse.run(
      async function* () {
        for (let i = 0; i < 5; i++) {
          await sleep(1)
          yield `${n}:${i}`
        }
      },
      { topic: `run.${n}` }
    )
  )
  const listened = Array.from({ length: 50 }, (_, i) => i * 20)
  const clients = await Promise.all(listened.map((n) => s.listen(`run.${n}`)))
  await Promise.all(works.map(({ finished }) => finished))
  for (const [i, client] of clients.entries()) {
    await client.waitForEnd()
    t.strictSame(
      client.events.map(({ data }) => JSON.parse(data)),
      [...Array.from({ length: 5 }, (_, k) => `${listened[i]}:${k}`), null]
    )
  }
})
