import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { BackplaneRefusedError, DuplicateIdError } from '../../lib/api/errors.js'
import { stopClock } from '../kit/clock.js'
import { all, BatchedQueue, event, fulfilled } from '../kit/sent-batches.js'

t.test('a failed batch is sent again unchanged, and the reader tells which attempt counts', async (t) => {
  const s = new BatchedQueue()
  const sent = s.queue.send([event('a'), event('b')])
  const first = await s.fail(1)
  const second = await s.attempt(2)
  t.strictSame(second.ids, first.ids)
  t.strictSame(
    [...first.batch, ...second.batch].map(({ message }) => message.attempt),
    [undefined, undefined, 2, 2],
    'each attempt makes entries of its own'
  )
  s.queue.settle('me:1', 'c-of-the-first-attempt')
  second.answer.resolve(['c9', 'c10'])
  await turn()
  t.equal(s.queue.pending, 0, 'the engine has them')
  s.queue.settle('me:2', 'c-of-the-first-attempt-too')
  t.strictSame(await all(sent), fulfilled('c-of-the-first-attempt', 'c-of-the-first-attempt-too'))
})

t.test('a refused batch is tried one by one, and only messages refused alone are rejected', async (t) => {
  const s = new BatchedQueue()
  const refusal = new BackplaneRefusedError('memory', 'too large')
  const sent = s.queue.send([event('a'), event('large'), event('b')])
  await s.fail(1, refusal)
  t.strictSame((await s.take(2)).bodies, ['a'])
  t.strictSame((await s.fail(3, refusal)).bodies, ['large'])
  t.strictSame((await s.take(4)).bodies, ['b'])
  for (const n of [1, 3]) s.queue.settle(`me:${n}`, `c${n}`)
  t.match(await all(sent), [
    { value: 'c1' },
    { status: 'rejected', reason: { code: 'PYLON_SSE_ERR_BACKPLANE_REFUSED' } },
    { value: 'c3' }
  ])
  const more = s.queue.send([event('c'), event('d')])
  t.strictSame((await s.take(5)).bodies, ['c', 'd'], 'then they go together again')
  await all(more)
})

t.test('a message that has waited too long is rejected, later ones are not', async (t) => {
  const clock = stopClock(t)
  const s = new BatchedQueue()
  const early = s.queue.send([event('a')])
  await s.attempt(1)
  clock.advance(30_000)
  const late = s.queue.send([event('b')])
  clock.advance(30_000)
  t.match(await all(early), [{ status: 'rejected', reason: { code: 'PYLON_SSE_ERR_BACKPLANE_TIMEOUT' } }])
  t.equal(s.queue.pending, 1)
  await s.take(1)
  await s.take(2)
  t.strictSame(await all(late), fulfilled('c2'))
})

t.test('when the reader is late, acknowledged messages resolve with what is known', async (t) => {
  const clock = stopClock(t)
  const s = new BatchedQueue()
  const request = { key: 'k', digest: 'd', index: 0, count: 1 }
  const sent = s.queue.send([event('a', { id: 'own' }), event('b', { request })])
  await s.take(1)
  await turn()
  clock.advance(30_000)
  const later = s.queue.send([event('c', { id: 'later' })])
  await s.take(2)
  await turn()
  clock.advance(30_000)
  t.strictSame(await all(sent), fulfilled('own', 'c2'))
  s.queue.settle('me:3', new DuplicateIdError('later'))
  t.match(await all(later), [{ status: 'rejected' }], 'what is not late is left to the reader')
})

t.test('a batch without an answer is sent again, and does not hold up later messages', async (t) => {
  stopClock(t)
  const s = new BatchedQueue({ publishTimeout: 50 })
  const sent = s.queue.send([event('a')])
  await s.attempt(1)
  sent.push(...s.queue.send([event('b')]))
  t.strictSame((await s.take(2)).ids, ['me:1', 'me:2'])
  s.queue.settle('me:1', 'c1')
  t.strictSame(await all(sent), fulfilled('c1', 'c2'))
})
