import t from 'tap'
import type { BackplaneEntry, BackplaneListener } from '../../lib/backplane/backplane.js'
import { MirroredLog } from '../kit/mirrored-log.js'

t.test('a gap is logged, and clients are told of it after the events they already have', async (t) => {
  const s = new MirroredLog(t)
  const known = s.entry(1)
  const listener = await s.join('0', known)
  const missed = s.entry(9)
  listener.onGap({ floor: '0', history: [{ ...known }, missed] })
  t.strictSame(s.told, ['rebase 0', 'event 1', 'skip', 'rebase 0', 'event 1', 'skip', 'event 9'])
  t.match(s.linesAt(40), [/have left the backplane/])
})

/** As the engine has what `onLoss` gives. */
function lossAt(cursor: number, listener: BackplaneListener, at = Date.now()): BackplaneEntry {
  return { ...listener.onLoss(), cursor: String(cursor), at }
}

t.test('when the engine has lost entries, earlier ids are no longer valid, and clients are told once', async (t) => {
  const s = new MirroredLog(t)
  const known = s.entry(1)
  const listener = await s.join('0', known)
  const [early, loss, late] = [s.entry(2), lossAt(3, listener), s.entry(4)]
  s.told.length = 0
  listener.onGap({ floor: '0', history: [known, early, loss, late] })
  t.strictSame(s.told, ['rebase 0', 'event 1', 'event 2', 'rebase 3', 'skip', 'event 4'])
  t.match(s.linesAt(40), [/has lost events; clients/])
  const [again] = [lossAt(5, listener)]
  listener.onEntries([again])
  t.strictSame(s.told.slice(-2), ['rebase 5', 'skip'], 'it was found after the first was read: it is another')
  t.match(s.linesAt(40)[1], /another process has found/)
})

t.test('several reports of one loss count once', async (t) => {
  const [s, other] = [new MirroredLog(t), new MirroredLog(t)]
  const listener = await s.join('0')
  const slow = await other.join('0')
  const at = Date.now()
  listener.onEntries([lossAt(1, listener, at), lossAt(2, slow, at)])
  t.strictSame(s.told, ['rebase 0', 'skip', 'rebase 1', 'skip', 'bare 2'])
})

t.test('a loss found in the history on joining is not told to clients', async (t) => {
  const s = new MirroredLog(t)
  const finder = await new MirroredLog(t).join('0')
  await s.join('0', s.entry(1), lossAt(2, finder), s.entry(3))
  t.strictSame(s.told, ['rebase 0', 'event 1', 'rebase 2', 'event 3', 'skip'])
})

t.test('a loss whose report the engine does not return holds for the process that found it', async (t) => {
  const s = new MirroredLog(t)
  const known = s.entry(1)
  const listener = await s.join('0', known)
  listener.onLoss()
  s.told.length = 0
  listener.onGap({ floor: '0', history: [known, s.entry(2)] })
  t.strictSame(s.told, ['rebase 0', 'event 1', 'event 2', 'rebase 2', 'skip'])
  listener.onLoss()
  s.told.length = 0
  listener.onGap({ floor: '0', history: [] })
  t.strictSame(s.told, ['rebase 0', 'rebase 0', 'skip'])
})

t.test('a loss that only this process can know of is told before later events, and on all processes', async (t) => {
  const s = new MirroredLog(t)
  const listener = await s.join('0', s.entry(1))
  const sent = s.shared.publish([{ kind: 'event', body: 'lost' }])
  ;(await s.batch(1)).answer.resolve(['2'])
  const [id] = await sent
  t.match(id, /^2-/)
  s.told.length = 0
  listener.onEntries([s.entry(3)])
  t.strictSame(s.told, ['rebase 1', 'skip', 'event 3'])
  t.match(s.linesAt(40), [/has lost events of this process/])
  const { batch, answer } = await s.batch(2)
  const [report] = batch
  t.equal(report!.message.kind, 'loss')
  answer.resolve(['4'])
  const other = new MirroredLog(t)
  const elsewhere = await other.join('0')
  const entry = { ...report!, cursor: '4', at: Date.now() }
  listener.onEntries([entry])
  elsewhere.onEntries([entry])
  t.equal(s.told.at(-1), 'bare 4', 'its own clients know')
  t.strictSame(other.told.slice(-2), ['rebase 4', 'skip'])
  listener.onEntries([s.entry(5)])
  t.equal(s.told.at(-1), 'event 5')
})
