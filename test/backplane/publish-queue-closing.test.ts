import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { withTimeout } from '../kit/patience.js'
import { all, BatchedQueue, event, fulfilled } from '../kit/sent-batches.js'

t.test('closing lets messages in flight arrive', async (t) => {
  const s = new BatchedQueue()
  const sent = s.queue.send([event('a')])
  await s.attempt(1)
  sent.push(...s.queue.send([event('b')]))
  const closed = s.queue.close(60_000)
  await s.take(1)
  await s.take(2)
  await withTimeout(closed, 'the closing')
  t.strictSame(await all(sent), fulfilled('c1', 'c2'))
})

t.test('closing rejects messages that do not arrive in time', async (t) => {
  const s = new BatchedQueue()
  const sent = s.queue.send([event('a')])
  await s.attempt(1)
  sent.push(...s.queue.send([event('b', { id: 'own' })]))
  await withTimeout(s.queue.close(10), 'the closing')
  const closed = { status: 'rejected', reason: { code: 'PYLON_SSE_ERR_CLOSED' } }
  t.match(await all(sent), [closed, closed])
  await s.fail(1)
  await turn()
  t.equal(s.attempts.length, 1, 'and does not try it again')
})

t.test('closing does not wait for the reader', async (t) => {
  const s = new BatchedQueue()
  const request = { key: 'k', digest: 'd', index: 0, count: 1 }
  const sent = s.queue.send([event('a', { id: 'own' }), event('b', { request })])
  await s.take(1)
  await turn()
  await withTimeout(s.queue.close(60_000), 'the closing')
  t.strictSame(await all(sent), fulfilled('own', 'c2'))
})

t.test('closing ends the pause after a failure', async (t) => {
  const s = new BatchedQueue()
  const sent = s.queue.send([event('a')])
  await s.fail(1)
  await turn()
  await withTimeout(s.queue.close(0), 'the closing')
  t.match(await all(sent), [{ status: 'rejected', reason: { code: 'PYLON_SSE_ERR_CLOSED' } }])
  await turn()
  t.equal(s.attempts.length, 1)
})
