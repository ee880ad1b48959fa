import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type Audience, Audiences, type Cohort } from '../../lib/log/audience.js'
import { EventLog } from '../../lib/log/event-log.js'
import type { LogEntry } from '../../lib/log/log-entry.js'
import { heapUsed } from '../kit/heap.js'
import { anyTopic, hears, somePatterns, someTopic, TOPICS } from '../kit/topic-model.js'

const log = new EventLog({ epoch: 'e', replay: 1000, events: 1000, bytes: 1_000_000 })

function eventOf(topic?: string): LogEntry {
  return log.append('data: x\n\n', { topic })
}

/** Clients that are flushed when the test says so. */
class StubCohort implements Cohort {
  isTouched = false
  touches = 0

  constructor(audience: Audience) {
    audience.join(this)
  }

  touch(): void {
    this.isTouched = true
    this.touches++
  }
}

t.test('clients with equal subscriptions form one audience, in whatever order they subscribed', async (t) => {
  const audiences = new Audiences()
  const audience = audiences.hold(['b', 'a.*', 'a'])
  t.equal(audiences.hold(['a', 'a', 'a.*', 'b', 'b']), audience)
  t.equal(audiences.hold(new Set(['a.*', 'b', 'a'])), audience)
  t.strictSame(audience.patterns, ['a', 'a.*', 'b'])
  const others = [['a', 'a.*'], ['a', 'a.*', 'b', 'c'], ['a', 'a.*', 'b.'], ['a'], ['a,a.*,b'], ['a a.* b']]
  t.notOk(others.map((subscriptions) => audiences.hold(subscriptions)).includes(audience))
  t.equal(audiences.size, 1 + others.length)
})

t.test('clients without subscriptions form one audience, which always exists', async (t) => {
  const audiences = new Audiences()
  t.equal(audiences.hold([]), audiences.everyone)
  audiences.release(audiences.everyone)
  audiences.release(audiences.everyone)
  t.equal(audiences.hold(new Set()), audiences.everyone)
  t.equal(audiences.size, 0)
  t.ok(audiences.everyone.hears(eventOf()))
  t.notOk(audiences.everyone.hears(eventOf('a')))
})

t.test('an audience exists as long as it is held', async (t) => {
  const audiences = new Audiences()
  const audience = audiences.hold(['a'])
  audiences.hold(['a'])
  audiences.release(audience)
  t.equal(audiences.hold(['a']), audience)
  audiences.release(audience)
  audiences.release(audience)
  t.equal(audiences.size, 0)
  t.strictSame([...audiences.of('a')], [])
  const next = audiences.hold(['a'])
  t.not(next, audience)
  t.strictSame([...audiences.of('a')], [next])
})

t.test('no two audiences ever have the same number', async (t) => {
  const audiences = new Audiences()
  const numbers = [audiences.everyone.number]
  for (const topic of ['a', 'b', 'a', 'a']) {
    const audience = audiences.hold([topic])
    numbers.push(audience.number)
    audiences.release(audience)
  }
  t.equal(new Set(numbers).size, 5)
})

t.test('the audiences of an event do not affect those of the next one', async (t) => {
  for (const wildcard of ['**', '*', 'a.**', '*.**']) {
    const audiences = new Audiences()
    const one = audiences.hold(['a'])
    const other = audiences.hold(['a', 'b'])
    const wild = audiences.hold([wildcard])
    const reached = (topic: string) => new Set(audiences.of(topic))
    for (let i = 0; i < 2; i++) {
      t.strictSame(reached('a'), new Set([one, other, wild]), wildcard)
      t.strictSame(reached('b'), new Set(wildcard === 'a.**' ? [other] : [other, wild]), wildcard)
    }
    audiences.release(wild)
    t.strictSame(reached('a'), new Set([one, other]))
  }
})

t.test('whichever clients come and go, an event reaches each audience that hears its topic, once', async () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ hold: somePatterns }) },
    { weight: 2, arbitrary: fc.record({ release: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ topic: someTopic }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const audiences = new Audiences()
      let holders: { patterns: string[]; audience: Audience }[] = []
      const check = (topic: string) => {
        const reached = [...audiences.of(topic)]
        const wanted = new Set(holders.filter(({ patterns }) => hears(patterns, topic)).map(({ audience }) => audience))
        assert.equal(reached.length, new Set(reached).size, 'each once')
        assert.deepEqual(
          reached.map(({ patterns }) => patterns.join()).sort(),
          [...wanted].map(({ patterns }) => patterns.join()).sort(),
          topic
        )
        assert.ok(reached.every((audience) => wanted.has(audience)))
      }
      for (const step of steps) {
        if ('topic' in step) check(step.topic)
        else if ('hold' in step) {
          const audience = audiences.hold(step.hold)
          assert.deepEqual(audience.patterns, [...new Set(step.hold)].sort())
          const held = holders.find(({ patterns }) => [...new Set(patterns)].sort().join() === audience.patterns.join())
          if (held !== undefined) assert.equal(audience, held.audience)
          holders.push({ patterns: step.hold, audience })
        } else if (holders.length > 0) {
          const [gone] = holders.splice(step.release % holders.length, 1)
          audiences.release(gone!.audience)
        }
        const existing = new Set(holders.map(({ audience }) => audience))
        existing.delete(audiences.everyone)
        assert.equal(audiences.size, existing.size)
      }
      for (const topic of TOPICS) check(topic)
      for (const { audience } of holders) audiences.release(audience)
      holders = []
      for (const topic of TOPICS) check(topic)
      assert.equal(audiences.size, 0)
    }),
    { numRuns: 300 }
  )
})

t.test('an audience hears events without a topic, and events with one of its topics', async () => {
  const audiences = new Audiences()
  fc.assert(
    fc.property(somePatterns, anyTopic, (patterns, topic) => {
      assert.equal(audiences.hold(patterns).hears(eventOf(topic)), hears(patterns, topic))
    }),
    { numRuns: 500 }
  )
})

t.test('an audience counts the events it hears, and keeps them until its clients have been offered them', async (t) => {
  const audience = new Audiences().hold(['a'])
  const cohorts = [new StubCohort(audience), new StubCohort(audience)]
  const events = [eventOf('a'), eventOf('a')]
  for (const event of events) audience.hear(event)
  t.strictSame([audience.heard, audience.pending], [2, events])
  t.strictSame(
    cohorts.map(({ touches }) => touches),
    [2, 2],
    'each asks for its flush'
  )
  cohorts[0]!.isTouched = false
  audience.settle()
  t.strictSame(audience.pending, events, 'not all of them have been')
  cohorts[1]!.isTouched = false
  audience.settle()
  t.strictSame(audience.pending, [])
  audience.settle()
  audience.hear(eventOf('a'))
  t.strictSame([audience.heard, audience.pending.length], [3, 1])
})

t.test('an audience keeps the events that its only clients have yet to be offered', async (t) => {
  const audience = new Audiences().hold(['a'])
  const cohort = new StubCohort(audience)
  audience.hear(eventOf('a'))
  audience.settle()
  t.equal(audience.pending.length, 1)
  cohort.isTouched = false
  audience.settle()
  t.strictSame(audience.pending, [])
})

t.test('an audience without clients counts the events it hears, and keeps none', async (t) => {
  const audience = new Audiences().hold(['a'])
  audience.hear(eventOf('a'))
  t.strictSame([audience.heard, audience.pending], [1, []])
  const cohort = new StubCohort(audience)
  audience.hear(eventOf('a'))
  audience.leave(cohort)
  t.strictSame(audience.pending, [], 'nor once its clients have gone')
})

t.test('an audience with listeners only keeps no events, and calls each listener once an event', async (t) => {
  const audience = new Audiences().hold(['a'])
  const calls: string[] = []
  const [first, second] = [() => void calls.push('first'), () => void calls.push('second')]
  audience.once(first)
  audience.once(second)
  audience.off(second)
  for (let i = 0; i < 3; i++) audience.hear(eventOf('a'))
  t.strictSame([audience.heard, audience.pending], [3, []])
  t.strictSame(calls, ['first'])
  audience.off(first)
  audience.once(first)
  audience.hear(eventOf('a'))
  t.strictSame(calls, ['first', 'first'])
})

t.test('100,000 topics that came and went leave no memory behind', async (t) => {
  const audiences = new Audiences()
  const comeAndGo = (from: number, to: number) => {
    for (let i = from; i < to; i += 1000) {
      const held: Audience[] = []
      for (let j = i; j < i + 1000; j++) {
        held.push(audiences.hold([`user:${j}`, ...(j % 4 === 0 ? [`room.${j}.*`, '**'] : [])]))
      }
      for (const audience of held) audiences.release(audience)
    }
  }
  comeAndGo(0, 10_000)
  const before = heapUsed()
  comeAndGo(10_000, 110_000)
  const grown = heapUsed() - before
  t.ok(grown < 1_000_000, `${grown} bytes`)
  t.equal(audiences.size, 0)
})
