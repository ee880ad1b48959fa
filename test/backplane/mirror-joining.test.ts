import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { LibTimers } from '../kit/lib-timers.js'
import { MirroredLog } from '../kit/mirrored-log.js'

t.test('the app fails to start if the engine cannot be joined', async (t) => {
  const s = new MirroredLog(t)
  const joined = s.shared.join()
  const failure = new Error('nobody is there')
  ;(await s.joining()).answer.reject(failure)
  await t.rejects(joined, failure)
  t.strictSame(s.log.lines, [])
})

t.test('an optional engine is tried again until it can be joined', async (t) => {
  const s = new MirroredLog(t, { optional: true })
  const joined = s.shared.join()
  ;(await s.joining(1)).answer.reject(new Error('nobody is there'))
  await joined
  t.notOk(s.shared.isInUse, 'until then the process serves itself')
  t.strictSame(s.linesAt(40), [
    'SSE: the backplane fake cannot be joined; until it can, clients get the events of this process alone'
  ])
  ;(await s.joining(2)).answer.reject(new Error('still nobody'))
  ;(await s.joining(3)).answer.resolve({ floor: '7', history: [s.entry(8)] })
  await s.log.waitFor('SSE: the backplane fake has been joined; clients get the events of all processes')
  t.ok(s.shared.isInUse)
  t.strictSame(s.told, ['rebase 7', 'event 8', 'skip'], 'its clients go on from the newest')
  t.equal(s.linesAt(40).length, 2, 'attempts are not worth a line each')
})

t.test('closing ends the attempts to join', async (t) => {
  const timers = new LibTimers(t)
  const s = new MirroredLog(t, { optional: true })
  const joined = s.shared.join()
  ;(await s.joining()).answer.reject(new Error('nobody is there'))
  await joined
  await s.close()
  await turn()
  t.equal(s.joins.length, 1)
  t.strictSame(timers.pending, [])
})

t.test('a mirror that is closed while it joins leaves the engine again', async (t) => {
  const s = new MirroredLog(t)
  const joined = s.shared.join()
  const { answer } = await s.joining()
  await s.close()
  t.equal(s.closes, 1)
  answer.resolve({ floor: '3', history: [s.entry(4)] })
  await joined
  t.equal(s.closes, 2)
  t.strictSame(s.told, [])
  t.notOk(s.shared.stats.connected)
})

t.test('an optional mirror that is closed during its second attempt to join leaves the engine, too', async (t) => {
  const s = new MirroredLog(t, { optional: true })
  const joined = s.shared.join()
  ;(await s.joining(1)).answer.reject(new Error('nobody is there'))
  await joined
  const { answer } = await s.joining(2)
  await s.close()
  answer.resolve({ floor: '3', history: [] })
  await turn()
  t.equal(s.closes, 2)
  t.strictSame(s.told, [])
  t.strictSame(s.log.matching(/has been joined/), [], 'and says nothing of a success')
})
