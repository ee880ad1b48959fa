import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Audiences } from '../../lib/log/audience.js'
import { EventIndex } from '../../lib/log/event-index.js'
import type { LogEntry } from '../../lib/log/log-entry.js'
import { LogReader } from '../../lib/log/log-reader.js'
import { FilledLog } from '../kit/filled-log.js'
import { heapUsed } from '../kit/heap.js'
import { anyTopic, somePatterns } from '../kit/topic-model.js'

const CLIENTS = ['ann', 'bob']

t.test('whatever is added and dropped, the index finds what a look at each event would find', async () => {
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ topic: anyTopic, except: fc.option(fc.constantFrom(...CLIENTS), { nil: undefined }) })
    },
    { weight: 2, arbitrary: fc.record({ drop: fc.integer({ min: 1, max: 8 }) }) },
    { weight: 1, arbitrary: fc.record({ patterns: somePatterns, common: fc.boolean() }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), fc.nat(100), (steps, cursor) => {
      const index = new EventIndex()
      const audiences = new Audiences()
      const held: LogEntry[] = []
      let seq = 0
      for (const step of steps) {
        if ('drop' in step) {
          for (const entry of held.splice(0, step.drop)) index.drop(entry)
        } else if ('patterns' in step) {
          const audience = audiences.hold(step.patterns, step.common)
          const found: number[] = []
          let count = 0
          for (const list of index.listsOf(audience)) {
            list.collect(cursor, seq, found)
            count += list.countAfter(cursor)
          }
          const heard = held.filter((entry) => entry.seq > cursor && audience.hears(entry)).map(({ seq }) => seq)
          assert.deepEqual(
            found.sort((a, b) => a - b),
            heard,
            `for ${step.patterns}`
          )
          assert.equal(count, heard.length)
          audiences.release(audience)
        } else {
          const entry = { ...step, seq: ++seq } as LogEntry
          index.add(entry)
          held.push(entry)
        }
      }
      assert.equal(index.topicCount, new Set(held.flatMap(({ topic }) => topic ?? [])).size)
      for (const client of CLIENTS) {
        const excepting = held.filter((entry) => entry.seq > cursor && entry.except === client)
        assert.deepEqual(
          [...index.exceptingAfter(cursor, client)],
          excepting.map(({ seq }) => seq)
        )
      }
    }),
    { numRuns: 500 }
  )
})

t.test('of topics that have left the log the first ones are forgotten, but none that has come back', async (t) => {
  const index = new EventIndex()
  const audience = new Audiences().hold(['back'])
  const come = (seq: number, topic: string) => {
    const entry = { seq, topic } as LogEntry
    index.add(entry)
    return entry
  }
  index.drop(come(1, 'back'))
  const held = come(2, 'back')
  for (let seq = 3; seq < 10_003; seq++) index.drop(come(seq, `left.${seq}`))
  t.equal(index.knownFrom, 0, 'ten thousand are remembered')
  index.drop(come(10_003, 'left.one-more'))
  t.equal(index.knownFrom, 3)
  t.ok(index.hasDropped(audience, 0))
  t.notOk(index.hasDropped(audience, 1))
  index.drop(held)
  t.ok(index.hasDropped(audience, 1))
  t.equal(index.knownFrom, 4)
})

t.test('of topics and clients that have left the log, nothing stays', async (t) => {
  const index = new EventIndex()
  const audience = new Audiences().hold(['room.*.told'])
  const come = (from: number, to: number) => {
    for (let seq = from; seq < to; seq++) {
      const entry = { seq, topic: `room.${seq}.told`, except: `client ${seq}` } as LogEntry
      index.add(entry)
      if (seq % 1000 === 0) index.listsOf(audience)
      index.drop(entry)
    }
  }
  come(1, 20_000)
  const before = heapUsed()
  come(20_000, 120_000)
  const grown = heapUsed() - before
  t.equal(index.topicCount, 0)
  t.ok(grown < 2 * 2 ** 20, `the heap has grown by ${grown} bytes`)
})

for (const [what, pattern] of [
  ['its topic', 'user.7.told'],
  ['its pattern', 'user.7.**']
] as const) {
  t.test(`who reads the log by ${what} looks at no event that it does not hear`, async (t) => {
    const log = new FilledLog()
    for (let i = 0; i < 20_000; i++) log.add(64, `user.${i % 1000}.told`)
    const reader = new LogReader(log, new Audiences().everyone)
    const audience = new Audiences().hold([pattern])
    let looks = 0
    log.at = (seq) => {
      looks++
      return FilledLog.prototype.at.call(log, seq)
    }
    t.equal(reader.count(audience, 0, 'ann'), 20)
    t.equal(looks, 0)
    t.equal([...reader.heard(audience, 0, log.head)].length, 20)
    t.equal(looks, 20)
    t.equal(reader.history(audience, 0, log.head)?.entries.length, 20)
    t.equal(looks, 40)
  })
}

t.test('who hears more topics than there are events to read reads those one by one', async (t) => {
  const log = new FilledLog()
  for (let i = 0; i < 100; i++) log.add(64, `user.${i}`)
  const reader = new LogReader(log, new Audiences().everyone)
  const audience = new Audiences().hold(['user.*'])
  t.strictSame(
    [...reader.heard(audience, 98, log.head)].map(({ topic }) => topic),
    ['user.98', 'user.99']
  )
  t.equal(reader.count(audience, 98, 'ann'), 2)
})
