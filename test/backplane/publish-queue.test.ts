import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { DuplicateIdError } from '../../lib/api/errors.js'
import { stopClock } from '../kit/clock.js'
import { LibTimers } from '../kit/lib-timers.js'
import { withTimeout } from '../kit/patience.js'
import { all, BatchedQueue, event, fulfilled } from '../kit/sent-batches.js'

t.test('messages sent together go as one batch, and resolve with their cursors', async (t) => {
  const s = new BatchedQueue()
  const sent = [...s.queue.send([event('a'), event('b')]), ...s.queue.send([event('c')])]
  sent.push(...s.queue.send([{ kind: 'disconnect', body: 'd' }]))
  t.equal(s.queue.pending, 4)
  const { bodies, ids } = await s.take(1)
  t.strictSame(bodies, ['a', 'b', 'c', 'd'])
  t.strictSame(ids, ['me:1', 'me:2', 'me:3', 'me:4'])
  t.strictSame(await all(sent), fulfilled('c1', 'c2', 'c3', 'c4'))
  t.equal(s.queue.pending, 0)
})

t.test('only one batch is in flight at a time', async (t) => {
  const s = new BatchedQueue()
  const sent = s.queue.send([event('a')])
  await s.attempt(1)
  sent.push(...s.queue.send([event('b')]), ...s.queue.send([event('c')]))
  await turn()
  t.equal(s.attempts.length, 1)
  await s.take(1)
  t.strictSame((await s.take(2)).bodies, ['b', 'c'])
  t.strictSame(await all(sent), fulfilled('c1', 'c2', 'c3'))
})

t.test('a batch is bounded by number and bytes, but holds at least one message', async (t) => {
  const s = new BatchedQueue()
  const sent = s.queue.send(Array.from({ length: 501 }, () => event('x')))
  const large = 'x'.repeat(600 * 1024)
  sent.push(...s.queue.send([event(large), event('y'.repeat(2 * 1024 * 1024)), event('z')]))
  t.equal((await s.take(1)).bodies.length, 500)
  t.strictSame((await s.take(2)).bodies, ['x', large])
  t.equal((await s.take(3)).bodies.length, 1, 'the large one goes alone')
  t.strictSame((await s.take(4)).bodies, ['z'])
  t.equal((await all(sent)).length, 504)
})

t.test('a send that would exceed maxPending or maxPendingBytes is refused as a whole', async (t) => {
  const s = new BatchedQueue({ maxPending: 3 })
  const sent = s.queue.send([event('a'), event('b')])
  t.throws(() => s.queue.send([event('c'), event('d')]), { code: 'PYLON_SSE_ERR_BACKPLANE_FULL' })
  t.equal(s.queue.pending, 2)
  sent.push(...s.queue.send([event('c')]))
  t.strictSame((await s.take(1)).bodies, ['a', 'b', 'c'])
  await all(sent)
  t.doesNotThrow(() => s.queue.send([event('d'), event('e'), event('f')]).map((promise) => promise.catch(() => {})))
  await withTimeout(s.queue.close(0), 'the closing')

  const narrow = new BatchedQueue({ maxPendingBytes: 10_000 })
  const first = narrow.queue.send([event('é'.repeat(4000))])
  t.throws(() => narrow.queue.send([event('x'.repeat(2000))]), { code: 'PYLON_SSE_ERR_BACKPLANE_FULL' })
  await narrow.take(1)
  await all(first)
  const second = narrow.queue.send([event('x'.repeat(2000))])
  await narrow.take(2)
  t.strictSame(await all(second), fulfilled('c2'))
})

t.test('the reader decides on a message with its own id or an idempotency key', async (t) => {
  const s = new BatchedQueue()
  const request = { key: 'k', digest: 'd', index: 0, count: 1 }
  const sent = s.queue.send([event('a', { id: 'own' }), event('b', { request }), event('c', { id: 'taken' })])
  await s.take(1)
  s.queue.settle('me:1', 'own')
  s.queue.settle('me:2', 'as before')
  s.queue.settle('me:3', new DuplicateIdError('taken'))
  s.queue.settle('other:1', 'of no concern')
  const results = await all(sent)
  t.strictSame(results.slice(0, 2), fulfilled('own', 'as before'))
  t.match(results[2], { status: 'rejected', reason: { code: 'PYLON_SSE_ERR_DUPLICATE_ID' } })
})

t.test('the reader may see a message before the engine acknowledges it', async (t) => {
  const s = new BatchedQueue()
  const sent = s.queue.send([event('a', { id: 'own' }), event('b')])
  await s.attempt(1)
  s.queue.settle('me:1', 'own')
  s.queue.settle('me:2', 'c2')
  t.equal(s.queue.pending, 0)
  t.strictSame(await all(sent), fulfilled('own', 'c2'))
  await s.take(1)
  const more = s.queue.send([event('c')])
  t.strictSame((await s.take(2)).bodies, ['c'])
  await all(more)
})

t.test('no timer runs while no message waits', async (t) => {
  const timers = new LibTimers(t)
  const clock = stopClock(t)
  const s = new BatchedQueue()
  const sent = s.queue.send([event('a', { id: 'own' })])
  await s.take(1)
  await turn()
  t.equal(timers.pending.length, 1, 'what the reader has yet to tell is watched')
  clock.advance(60_000)
  await all(sent)
  t.equal(timers.pending.length, 0)
  const more = s.queue.send([event('b')])
  t.ok(timers.pending.length > 0)
  await s.take(2)
  await all(more)
  await withTimeout(s.queue.close(0), 'the closing')
  t.equal(timers.pending.length, 0)
})
