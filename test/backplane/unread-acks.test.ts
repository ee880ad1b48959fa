import t from 'tap'
import { UnreadAcks } from '../../lib/backplane/unread-acks.js'
import { stopClock } from '../kit/clock.js'

/** Cursors are numbers; others are of another log. */
function compare(a: string, b: string): number | undefined {
  return /^\d+$/.test(a) ? Number(a) - Number(b) : undefined
}

function entry(cursor: number, messageId = `other:${cursor}`) {
  return { cursor: String(cursor), messageId }
}

t.test('messages read at the cursors that the engine acknowledged are not missing', async (t) => {
  const acks = new UnreadAcks(compare)
  t.equal(acks.read([entry(1)]), undefined)
  acks.add('me:1', '3')
  acks.add('me:2', '5')
  t.equal(acks.read([]), undefined)
  t.equal(acks.read([entry(2)]), undefined)
  t.equal(acks.read([entry(3, 'me:1'), entry(4)]), undefined)
  t.equal(acks.read([entry(5, 'me:2')]), undefined)
  t.equal(acks.read([entry(6)]), undefined)
})

t.test('acknowledged messages that do not come are reported missing once', async (t) => {
  const clock = stopClock(t)
  const acks = new UnreadAcks(compare)
  acks.add('me:1', '3')
  clock.advance(70)
  acks.add('me:2', '4')
  acks.add('me:3', '9')
  clock.advance(30)
  t.equal(acks.read([entry(5), entry(6)]), 100, 'since the first of it was acknowledged')
  clock.advance(1000)
  t.equal(acks.read([entry(7)]), undefined)
  t.equal(acks.read([entry(9, 'me:3')]), undefined, 'what is to come later is still waited for')
})

t.test('repeated losses are reported once a second', async (t) => {
  const clock = stopClock(t)
  const acks = new UnreadAcks(compare)
  const answers: unknown[] = []
  for (let n = 1; n <= 25; n++) {
    acks.add(`me:${n}`, String(n * 2))
    clock.advance(100)
    answers.push(acks.read([entry(n * 2 + 1)]))
  }
  t.strictSame(
    answers.filter((answer) => answer !== undefined),
    [100, 1000, 1000]
  )
})

t.test('messages acknowledged in another log are not waited for', async (t) => {
  const acks = new UnreadAcks(compare)
  acks.add('me:1', 'x')
  t.equal(acks.read([entry(5)]), undefined)
  acks.add('me:2', '6')
  acks.clear()
  t.equal(acks.read([entry(7)]), undefined)
})
