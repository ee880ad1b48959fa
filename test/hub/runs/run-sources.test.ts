import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { Work } from '../../../lib/hub/runs/work.js'
import { serveRuns, told } from '../../kit/runs.js'

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

t.test('the bytes that a stream gives arrive as text', async (t) => {
  const s = await serveRuns(t)
  s.app.sse.run(Readable.from([Buffer.from('häl'), Buffer.from('lo')]), { topic: 'x' })
  const client = await s.listen('x')
  await client.waitForEnd()
  t.strictSame(told(client).slice(0, 2), [
    [undefined, 'häl'],
    [undefined, 'lo']
  ])
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
