import t, { type Test } from 'tap'
import { PendingResync, type Resync } from '../../../lib/hub/clients/pending-resync.js'

function losses(t: Test, untold?: Resync) {
  const counted = t.captureFn((_events: number) => {})
  const told = new PendingResync(counted, untold)
  return { told, counted: () => counted.calls.map(({ args }) => args[0]) }
}

t.test('what a client lacks from before it came is told as it is, and not counted', async (t) => {
  const { told, counted } = losses(t, { reason: 'expired', missed: 7 })
  t.strictSame(told.untold, { reason: 'expired', missed: 7 })
  t.strictSame(counted(), [])
})

t.test('what is expected to be lost counts once, as it grows, and is told when it is confirmed', async (t) => {
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

t.test('what is lost beyond what was expected counts, too', async (t) => {
  const { told, counted } = losses(t)
  told.expect(2)
  told.confirm(9)
  t.strictSame(counted(), [2, 7])
  told.confirm(4)
  t.strictSame(counted(), [2, 7, 4], 'what was expected is settled')
  t.strictSame(told.untold, { reason: 'overflow', missed: 13 })
})

t.test('nothing lost is nothing to tell', async (t) => {
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
