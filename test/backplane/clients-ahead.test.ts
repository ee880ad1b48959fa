import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { LibTimers } from '../kit/lib-timers.js'
import { MirroredLog } from '../kit/mirrored-log.js'
import { withTimeout } from '../kit/patience.js'

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const settle = () => {
    settled = true
  }
  promise.then(settle, settle)
  await turn()
  return settled
}

t.test('a client ahead of this process waits until the process has caught up', async (t) => {
  const timers = new LibTimers(t)
  const s = new MirroredLog(t)
  t.equal(s.shared.awaitRead('5'), undefined, 'nothing is known before it has joined')
  const listener = await s.join('3')
  for (const cursor of ['2', '3', 'own']) t.equal(s.shared.awaitRead(cursor), undefined, cursor)
  const [five, six] = [s.shared.awaitRead('5')!, s.shared.awaitRead('6')!]
  listener.onEntries([s.entry(4)])
  t.notOk(await isSettled(five))
  listener.onEntries([s.entry(5)])
  t.ok(await isSettled(five))
  t.notOk(await isSettled(six))
  listener.onGap({ floor: '9', history: [] })
  t.ok(await isSettled(six), 'or is known to be lost')
  t.strictSame(timers.pending, [])
})

t.test('a client that waits for an entry that never comes waits for 2 s at most', async (t) => {
  const s = new MirroredLog(t)
  await s.join('3')
  const from = performance.now()
  await withTimeout(s.shared.awaitRead('5')!, 'the waiting to end')
  t.ok(performance.now() - from > 1900)
})

t.test('closing ends the waiting of clients that are ahead', async (t) => {
  const timers = new LibTimers(t)
  const s = new MirroredLog(t)
  await s.join('3')
  const waiting = s.shared.awaitRead('5')!
  const sent = s.shared.publish([{ kind: 'event', body: 'last' }])
  const { answer } = await s.batch()
  const closed = s.close()
  t.ok(await isSettled(waiting), 'although messages are on their way')
  t.equal(s.closes, 0)
  answer.resolve(['4'])
  t.match(await sent, [/^4-/])
  await closed
  t.equal(s.closes, 1)
  t.equal(s.shared.awaitRead('5'), undefined)
  t.notOk(s.shared.stats.connected)
  t.strictSame(timers.pending, [])
})
