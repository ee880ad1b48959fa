import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Audiences } from '../../lib/log/audience.js'
import { EventLog, type Position } from '../../lib/log/event-log.js'
import { LogReader } from '../../lib/log/log-reader.js'
import { anyTopic, hears, somePatterns } from '../kit/topic-model.js'

const EVENTS = 12
const REPLAY = 8

class Setup {
  readonly log: EventLog
  readonly audiences = new Audiences()
  readonly reader: LogReader

  constructor(events = EVENTS, replay = REPLAY) {
    this.log = new EventLog({ epoch: 'e', events, replay, bytes: Number.MAX_SAFE_INTEGER })
    this.reader = new LogReader(this.log, this.audiences.everyone)
  }

  fill(events: number, topic: string | undefined, isShared = false): void {
    for (let i = 0; i < events; i++) {
      this.log.append('data: \n', { topic }, isShared ? placeAt(this.log.head + 1) : undefined)
    }
  }

  positionOf(id: string, patterns: string[] = [], everyone = true): Position {
    const audience = this.audiences.hold(patterns, everyone)
    const position = this.reader.positionOf(id, audience)
    this.audiences.release(audience)
    return position
  }
}

/** As an engine names the place of an event. */
function placeAt(n: number): string {
  return `place-${String(n).padStart(7, '0')}`
}

function compare(a: string, b: string): number | undefined {
  if (!a.startsWith('place-')) return undefined
  return a < b ? -1 : Number(a > b)
}

for (const isShared of [false, true]) {
  const where = isShared ? 'in the log of an engine' : 'in a log of its own'
  t.test(`${where} events are lost for audiences that hear one that is gone, and for no others`, async (t) => {
    const kinds = new Set<string>()
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ events: fc.integer({ min: 1, max: 6 }), topic: anyTopic }) },
      {
        weight: 4,
        arbitrary: fc.record({ patterns: somePatterns, everyone: fc.boolean(), back: fc.nat(3 * EVENTS) })
      },
      { weight: isShared ? 1 : 0, arbitrary: fc.constant('rebase' as const) }
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
        const s = new Setup()
        const topics: (string | undefined)[] = []
        let first = 0
        const rebase = () => {
          first = topics.length
          s.log.rebase(placeAt(first), compare)
        }
        if (isShared) rebase()
        for (const step of steps) {
          if (step === 'rebase') rebase()
          else if ('events' in step) {
            s.fill(step.events, step.topic, isShared)
            for (let i = 0; i < step.events; i++) topics.push(step.topic)
          } else {
            const from = Math.max(0, topics.length - step.back)
            const position = s.positionOf(isShared ? placeAt(from) : `e-${from}`, step.patterns, step.everyone)
            const isHeard = (topic: string | undefined) =>
              topic === undefined ? step.everyone : hears(step.patterns, topic)
            const floor = Math.max(from, topics.length - REPLAY)
            const held = Math.max(from, topics.length - EVENTS)
            if (from < first) {
              assert.deepEqual(position, { lost: 'expired', missed: null }, 'from before the log began anew')
              kinds.add('rebased')
            } else if (!topics.slice(from, floor).some(isHeard)) {
              assert.deepEqual(position, { seq: from })
              kinds.add(from < held ? 'good, though gone' : 'good')
            } else {
              const isDropped = topics.slice(from, held).some(isHeard)
              const isCounted =
                !isDropped || (step.everyone && topics.slice(from, held).every((it) => it === undefined))
              const missed = isCounted ? topics.slice(from).filter(isHeard).length : null
              assert.deepEqual(position, { lost: 'expired', missed })
              kinds.add(missed === null ? 'not counted' : 'counted')
            }
          }
        }
      }),
      { numRuns: 400 }
    )
    const all = ['good', 'good, though gone', 'counted', 'not counted', ...(isShared ? ['rebased'] : [])]
    t.strictSame([...kinds].sort(), all.sort(), 'and all of it did happen')
  })
}

t.test('of more than 10,000 evicted topics, those forgotten count as lost', async (t) => {
  const s = new Setup(1, 1)
  s.fill(1, 'quiet')
  for (let n = 0; n < 10_000; n++) s.fill(1, `t.${n}`)
  const known: Position = { seq: 1 }
  const lost: Position = { lost: 'expired', missed: null }
  t.strictSame(s.positionOf('e-1', ['other']), known)
  t.strictSame(s.positionOf('e-1', ['other.**']), known)
  t.strictSame(s.positionOf('e-0', ['quiet']), lost)
  t.strictSame(s.positionOf('e-0', ['qui.*']), { seq: 0 })
  s.fill(2, 'more')
  t.strictSame(s.positionOf('e-0', ['other']), lost, 'the event of seq 1 is forgotten')
  t.strictSame(s.positionOf('e-2', ['other']), { seq: 2 }, 'the next is not')
  t.strictSame(s.positionOf('e-2', ['t.*']), lost)
  t.strictSame(s.positionOf('e-2', ['t.0']), { seq: 2 }, 'which is that of seq 2')
})

t.test('the last 10,000 cursors of an engine are remembered, by their whole id', async (t) => {
  const s = new Setup(1, 1)
  s.log.rebase(placeAt(0), compare)
  s.fill(9_999, 'busy', true)
  t.equal(s.log.cursorAt(1), placeAt(1))
  t.strictSame(s.positionOf(placeAt(0), ['quiet']), { seq: 0 })
  t.strictSame(s.positionOf(`${placeAt(1)}-other`, ['quiet']), { lost: 'expired', missed: null })
  s.fill(15_000, 'busy', true)
  t.strictSame(s.positionOf(placeAt(14_997), ['quiet']), { lost: 'expired', missed: null })
  t.strictSame(s.positionOf(placeAt(15_000), ['quiet']), { seq: 15_000 })
  t.equal(s.log.cursorAt(2), s.log.cursorAt(s.log.oldest - 1), 'a place that is forgotten has the name of the last one')
})
