import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { BackplaneRefusedError, DuplicateIdError } from '../../lib/api/errors.js'
import type { BackplaneEvent, BackplaneLimits, Parcel } from '../../lib/backplane/backplane.js'
import { PublishQueue } from '../../lib/backplane/publish-queue.js'
import { stopClock } from '../kit/clock.js'
import { type Deferred, deferred } from '../kit/deferred.js'
import { LibTimers } from '../kit/lib-timers.js'
import { withTimeout } from '../kit/patience.js'
import { Watch } from '../kit/watch.js'

const LIMITS: BackplaneLimits = {
  optional: false,
  publishTimeout: 60_000,
  maxPending: 10_000,
  maxPendingBytes: 16 * 1024 * 1024
}

function event(body: string, labels: Partial<BackplaneEvent> = {}): BackplaneEvent {
  return { kind: 'event', body, ...labels }
}

interface Attempt {
  readonly batch: readonly Parcel[]
  readonly bodies: string[]
  readonly ids: string[]
  readonly answer: Deferred<readonly string[]>
}

/** An engine that answers when it is told to, and what is sent to it. */
class Setup {
  readonly attempts: Attempt[] = []
  readonly queue: PublishQueue
  readonly #watch = new Watch(() => `${this.attempts.length} attempts`)

  constructor(limits: Partial<BackplaneLimits> = {}) {
    const publish = (batch: readonly Parcel[]) => {
      const answer = deferred<readonly string[]>()
      const bodies = batch.map(({ message }) => message.body)
      this.attempts.push({ batch, bodies, ids: batch.map(({ messageId }) => messageId), answer })
      this.#watch.changed()
      return answer.promise
    }
    this.queue = new PublishQueue('me', publish, { ...LIMITS, ...limits })
  }

  async attempt(number: number): Promise<Attempt> {
    const look = () => this.attempts[number - 1]
    return this.#watch.until(look, `attempt ${number}`)
  }

  /** Answers with the cursors `c1` and on. */
  async take(number: number): Promise<Attempt> {
    const attempt = await this.attempt(number)
    attempt.answer.resolve(attempt.ids.map((id) => id.replace('me:', 'c')))
    return attempt
  }

  async fail(number: number, error = new Error('the connection is lost')): Promise<Attempt> {
    const attempt = await this.attempt(number)
    attempt.answer.reject(error)
    return attempt
  }
}

/** What a test awaits may hang on nothing that keeps a process alive. */
function all<T>(promises: readonly Promise<T>[]): Promise<PromiseSettledResult<T>[]> {
  return withTimeout(Promise.allSettled(promises), 'the messages')
}

function fulfilled(...values: string[]) {
  return values.map((value) => ({ status: 'fulfilled', value }))
}

t.test('messages sent together go as one batch, and resolve with their cursors', async (t) => {
  const s = new Setup()
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
  const s = new Setup()
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
  const s = new Setup()
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
  const s = new Setup({ maxPending: 3 })
  const sent = s.queue.send([event('a'), event('b')])
  t.throws(() => s.queue.send([event('c'), event('d')]), { code: 'PYLON_SSE_ERR_BACKPLANE_FULL' })
  t.equal(s.queue.pending, 2)
  sent.push(...s.queue.send([event('c')]))
  t.strictSame((await s.take(1)).bodies, ['a', 'b', 'c'])
  await all(sent)
  t.doesNotThrow(() => s.queue.send([event('d'), event('e'), event('f')]).map((promise) => promise.catch(() => {})))
  await withTimeout(s.queue.close(0), 'the closing')

  const narrow = new Setup({ maxPendingBytes: 10_000 })
  const first = narrow.queue.send([event('é'.repeat(4000))])
  t.throws(() => narrow.queue.send([event('x'.repeat(2000))]), { code: 'PYLON_SSE_ERR_BACKPLANE_FULL' })
  await narrow.take(1)
  await all(first)
  const second = narrow.queue.send([event('x'.repeat(2000))])
  await narrow.take(2)
  t.strictSame(await all(second), fulfilled('c2'))
})

t.test('a failed batch is sent again unchanged, and the reader tells which attempt counts', async (t) => {
  const s = new Setup()
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

t.test('the reader decides on a message with its own id or an idempotency key', async (t) => {
  const s = new Setup()
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
  const s = new Setup()
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

t.test('a refused batch is tried one by one, and only messages refused alone are rejected', async (t) => {
  const s = new Setup()
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
  const s = new Setup()
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
  const s = new Setup()
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
  const s = new Setup({ publishTimeout: 50 })
  const sent = s.queue.send([event('a')])
  await s.attempt(1)
  sent.push(...s.queue.send([event('b')]))
  t.strictSame((await s.take(2)).ids, ['me:1', 'me:2'])
  s.queue.settle('me:1', 'c1')
  t.strictSame(await all(sent), fulfilled('c1', 'c2'))
})

t.test('no timer runs while no message waits', async (t) => {
  const timers = new LibTimers(t)
  const clock = stopClock(t)
  const s = new Setup()
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

t.test('closing lets messages in flight arrive', async (t) => {
  const s = new Setup()
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
  const s = new Setup()
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
  const s = new Setup()
  const request = { key: 'k', digest: 'd', index: 0, count: 1 }
  const sent = s.queue.send([event('a', { id: 'own' }), event('b', { request })])
  await s.take(1)
  await turn()
  await withTimeout(s.queue.close(60_000), 'the closing')
  t.strictSame(await all(sent), fulfilled('own', 'c2'))
})

t.test('closing ends the pause after a failure', async (t) => {
  const s = new Setup()
  const sent = s.queue.send([event('a')])
  await s.fail(1)
  await turn()
  await withTimeout(s.queue.close(0), 'the closing')
  t.match(await all(sent), [{ status: 'rejected', reason: { code: 'PYLON_SSE_ERR_CLOSED' } }])
  await turn()
  t.equal(s.attempts.length, 1)
})
