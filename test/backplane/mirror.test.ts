import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { BackplaneEntry } from '../../lib/backplane/backplane.js'
import { engineId } from '../../lib/log/engine-id.js'
import { MirroredLog } from '../kit/mirrored-log.js'
import { withTimeout } from '../kit/patience.js'

t.test('on joining, the log is filled with the history, and continues from there', async (t) => {
  const s = new MirroredLog(t)
  const listener = await s.join('3', s.entry(4), s.entry(5, 'disconnect'), s.entry(6))
  listener.onEntries([s.entry(7), s.entry(8, 'disconnect')])
  t.strictSame(s.told, ['rebase 3', 'event 4', 'event 6', 'skip', 'event 7', 'disconnect disconnect 8'])
})

t.test('messages published before the backplane has joined wait until it has', async (t) => {
  const s = new MirroredLog(t)
  t.ok(s.shared.isInUse)
  const ids = s.shared.publish([{ kind: 'event', body: 'early' }])
  await turn()
  t.equal(s.batches.length, 0)
  t.match(s.shared.stats, { name: 'fake', connected: false, pending: 1, lost: 0, lag: null })
  await s.join()
  const { batch, answer } = await s.batch()
  t.equal(batch[0]!.message.body, 'early')
  answer.resolve(['1'])
  t.strictSame(await ids, [engineId('1', batch[0])])
  t.match(s.shared.stats, { connected: true, pending: 0 })
})

t.test('stats tell how late events are, and never a negative time', async (t) => {
  const s = new MirroredLog(t)
  const listener = await s.join()
  listener.onEntries([])
  t.equal(s.shared.stats.lag, null)
  listener.onEntries([s.entry(1, 'event', Date.now() - 60_000)])
  t.ok(s.shared.stats.lag! >= 60_000 && s.shared.stats.lag! < 90_000)
  listener.onEntries([s.entry(2, 'event', Date.now() + 60_000)])
  t.equal(s.shared.stats.lag, 0, 'clocks differ')
})

t.test('a duplicate entry from a second attempt still has a cursor', async (t) => {
  const s = new MirroredLog(t)
  const first = s.entry(1)
  const listener = await s.join('0', first)
  listener.onEntries([{ ...first, cursor: '2' }])
  t.strictSame(s.told.slice(-2), ['skip', 'bare 2'])
})

t.test('each change of the connection is logged once', async (t) => {
  const s = new MirroredLog(t)
  const listener = await s.join()
  listener.onState(true)
  t.strictSame(s.log.lines, [])
  listener.onState(false, new Error('broken pipe'))
  listener.onState(false, new Error('still broken'))
  t.notOk(s.shared.stats.connected)
  listener.onState(true)
  listener.onState(false)
  t.strictSame(
    s.log.lines.map(({ level, msg }) => [level, msg]),
    [
      [50, 'SSE: the backplane fake is out of reach; events wait for it'],
      [40, 'SSE: the backplane fake is reached again'],
      [50, 'SSE: the backplane fake is out of reach; events wait for it']
    ]
  )
})

t.test('lost broadcasts are counted, and logged once while the engine is out of reach', async (t) => {
  const s = new MirroredLog(t)
  const listener = await s.join()
  listener.onState(false)
  const tooMuch = 'x'.repeat(16 * 1024 * 1024)
  for (let i = 0; i < 3; i++) s.shared.broadcast({ kind: 'event', body: tooMuch })
  await turn()
  t.equal(s.shared.stats.lost, 3)
  t.equal(s.log.matching(/an event is lost/).length, 1)
  listener.onState(true)
  s.shared.broadcast({ kind: 'event', body: tooMuch })
  await turn()
  t.equal(s.log.matching(/an event is lost/).length, 2, 'with the engine at hand each has a cause of its own')
  await t.rejects(s.shared.publish([{ kind: 'event', body: tooMuch }]), { code: 'PYLON_SSE_ERR_BACKPLANE_FULL' })
  t.equal(s.shared.stats.lost, 4, 'a publisher is told, and counts itself')
})

t.test('entries not of the format are counted, logged once, and skipped one by one', async (t) => {
  const s = new MirroredLog(t)
  const strange = (cursor: number, fields: object, messageId = 'other:900'): BackplaneEntry => {
    const message = { kind: 'event' as const, body: 'data: x\n\n', ...fields }
    return { cursor: String(cursor), messageId, at: Date.now(), message }
  }
  const listener = await s.join('0', s.entry(1), strange(2, { body: 'no frame' }), s.entry(3))
  t.equal(s.shared.stats.foreign, 1)
  listener.onEntries([
    strange(4, { kind: 'later' }),
    s.entry(5),
    strange(6, { id: '7' }),
    { ...s.entry(7), message: null as never },
    strange(8, {}, 'no number'),
    s.entry(9)
  ])
  listener.onForeign('10', 'it is something else')
  listener.onGap({ floor: '10', history: [strange(11, { topic: 7 }), s.entry(12)] })
  t.strictSame(
    s.told.filter((told) => told.startsWith('event')),
    ['event 1', 'event 3', 'event 5', 'event 9', 'event 12']
  )
  t.equal(s.shared.stats.foreign, 7)
  const lines = s.log.matching(/does not know/)
  t.equal(lines.length, 1)
  t.match(lines[0], { level: 40, cursor: '2', reason: 'its body is not one whole event' })
  listener.onEntries([strange(13, {}, 'other:900')])
  t.equal(s.told.at(-1), 'x', 'a number is not taken by what was passed over')
})

t.test('an engine out of reach does not delay closing', async (t) => {
  const s = new MirroredLog(t)
  const listener = await s.join()
  listener.onState(false)
  const sent = s.shared.publish([{ kind: 'event', body: 'lost' }])
  await s.batch()
  const lost = t.rejects(sent, { code: 'PYLON_SSE_ERR_CLOSED' })
  await withTimeout(s.close(), 'the closing', 500)
  await lost
})
