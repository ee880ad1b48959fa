import t, { type Test } from 'tap'
import { PendingResync, type Resync } from '../../../lib/hub/clients/pending-resync.js'

function losses(t: Test, untold?: Resync) {
  const counted = t.captureFn((_events: number) => {})
  const told = new PendingResync(counted, untold)
  return { told, counted: () => counted.calls.map(({ args }) => args[0]) }
}

t.test('what a client missed before it connected is reported, and does not count as dropped', async (t) => {
  const { told, counted } = losses(t, { reason: 'expired', missed: 7 })
  t.strictSame(told.untold, { reason: 'expired', missed: 7 })
  t.strictSame(counted(), [])
})

t.test('expected losses count once, as they grow, and are reported when they are confirmed', async (t) => {
  const { told, counted } = losses(t)
  t.equal(told.expect(0), false)
  t.equal(told.expect(3), true)
  t.equal(told.expect(3), false)
  t.equal(told.expect(5), true)
  t.equal(told.untold, undefined)
  t.equal(told.confirm(5), true)
  t.strictSame(told.untold, { reason: 'overflow', missed: 5 })
  t.strictSame(counted(), [3, 2])
})

t.test('losses beyond the expected ones count, too', async (t) => {
  const { told, counted } = losses(t)
  told.expect(2)
  told.confirm(9)
  t.strictSame(counted(), [2, 7])
  told.confirm(4)
  t.strictSame(counted(), [2, 7, 4], 'what was expected is settled')
  t.strictSame(told.untold, { reason: 'overflow', missed: 13 })
})

t.test('without a loss there is no resync', async (t) => {
  const { told, counted } = losses(t)
  t.equal(told.confirm(0), false)
  t.equal(told.untold, undefined)
  t.strictSame(counted(), [])
})

t.test('losses add up in one resync, whose reason is the first', async (t) => {
  const { told } = losses(t, { reason: 'expired', missed: 2 })
  told.add(3)
  told.confirm(4)
  t.strictSame(told.untold, { reason: 'expired', missed: 9 })
})

t.test('to an unknown number nothing can be added', async (t) => {
  const { told, counted } = losses(t, { reason: 'unknown', missed: null })
  told.add(3)
  t.strictSame(told.untold, { reason: 'unknown', missed: null })
  t.strictSame(counted(), [3])
})
