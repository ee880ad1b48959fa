import t from 'tap'
import type { BackplaneEntry, Parcel } from '../../lib/backplane/backplane.js'
import { LogLosses } from '../../lib/backplane/log-losses.js'
import { stopClock } from '../kit/clock.js'

let count = 0

function entryOf(report: Parcel, at: number): BackplaneEntry {
  return { ...report, at, cursor: String(++count) }
}

function reportWith(body: string, at = 1000): BackplaneEntry {
  return entryOf({ messageId: `other:${++count}`, message: { kind: 'loss', body } }, at)
}

t.test('if many processes find one loss, the first report counts', async (t) => {
  const clock = stopClock(t)
  const [one, other, third] = [new LogLosses(), new LogLosses(), new LogLosses()]
  clock.advance(500)
  const first = entryOf(one.report(), 1000)
  clock.advance(100)
  const second = entryOf(other.report(), 1100)
  for (const losses of [one, other, third]) {
    t.notOk(losses.isKnown(first))
    t.ok(losses.isKnown(second), 'it had read nothing since before the first report')
  }
})

t.test('a loss after a report was read is another loss', async (t) => {
  const clock = stopClock(t)
  const [one, other] = [new LogLosses(), new LogLosses()]
  clock.advance(500)
  const first = entryOf(one.report(), 1000)
  for (const losses of [one, other]) t.notOk(losses.isKnown(first))
  const again = entryOf(other.report(), 1001)
  for (const losses of [one, other]) t.notOk(losses.isKnown(again), 'its process knew of the first')
  t.ok(one.isKnown(entryOf(new LogLosses().report(), 1001)), 'the second is known from then on')
})

t.test('a loss of entries read elsewhere after the first report is another loss', async (t) => {
  const clock = stopClock(t)
  const [one, other] = [new LogLosses(), new LogLosses()]
  clock.advance(500)
  const first = entryOf(one.report(), 1000)
  clock.advance(100)
  other.noteRead()
  clock.advance(50)
  const second = entryOf(other.report(), 1150)
  t.notOk(one.isKnown(first))
  t.notOk(one.isKnown(second))
})

t.test('an unreadable report counts as a loss of its own', async (t) => {
  const losses = new LogLosses()
  for (const body of ['', 'null', '[]', '{"after":7,"silence":"x"}', '{"silence":-5000}'])
    t.notOk(losses.isKnown(reportWith(body, 1000 + count)), body)
})

t.test('when the log is read again, it is known whether it has the report', async (t) => {
  const losses = new LogLosses()
  t.equal(losses.begin([]), 'none', 'its oldest entries had gone')
  const report = losses.report()
  t.equal(losses.begin([reportWith('{}'), entryOf(report, 1)]), 'told')
  t.equal(losses.begin([]), 'none', 'that was for the loss before')
  losses.report()
  t.equal(losses.begin([entryOf(report, 1)]), 'untold')
})

t.test('a report that the log has lost is forgotten', async (t) => {
  const clock = stopClock(t)
  const losses = new LogLosses()
  clock.advance(500)
  const first = entryOf(losses.report(), 1000)
  t.notOk(losses.isKnown(first))
  losses.begin([])
  t.notOk(losses.isKnown(first))
})
