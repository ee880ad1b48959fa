import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { BLOCK, event, KIB, patterns, ReadLog, repeat } from '../kit/read-log.js'
import { anyTopic } from '../kit/topic-model.js'

t.test('the history after a cursor has each event that the audience hears, once and in order', async () => {
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 40 }), patterns, fc.nat(), fc.nat(), (events, of, a, b) => {
      const setup = new ReadLog()
      for (const { size, topic } of events) setup.add(size, topic)
      const limit = 1 + (a % setup.log.head)
      const cursor = b % limit
      const audience = setup.hold(...of)
      const seqs = setup.history(audience, cursor, limit).flatMap(({ entries }) => entries.map(({ seq }) => seq))
      assert.deepEqual(
        seqs,
        setup.heard(audience, cursor, limit).map(({ seq }) => seq)
      )
    }),
    { numRuns: 200 }
  )
})

t.test('whenever clients read, and however the log changes, each gets the events after its cursor', async () => {
  const step = fc.oneof(
    { weight: 2, arbitrary: fc.record({ append: fc.array(event, { minLength: 1, maxLength: 5 }) }) },
    {
      weight: 3,
      arbitrary: fc.record({ client: fc.nat(3), chunks: fc.integer({ min: 1, max: 3 }), short: fc.nat(6) })
    },
    { weight: 1, arbitrary: fc.record({ joins: fc.nat(3), at: fc.nat() }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const setup = new ReadLog([], { events: 20 })
      const { log, reader } = setup
      const audiences = [setup.everyone, setup.hold('a'), setup.hold('a'), setup.hold('a.*', 'b')]
      const cursors = [0, 0, 0, 0]
      for (const step of steps) {
        if ('append' in step) {
          for (const { size, topic } of step.append) setup.add(size, topic)
        } else if ('joins' in step) {
          cursors[step.joins] = log.oldest - 1 + (step.at % (log.size + 1))
        } else {
          // What the log has let go is not asked for; and an event for one client alone may stop it short of the head.
          let cursor = Math.max(cursors[step.client]!, log.oldest - 1)
          const audience = audiences[step.client]!
          const limit = log.head - step.short
          for (let i = 0; i < step.chunks && cursor < limit; i++) {
            const chunk = reader.history(audience, cursor, limit)
            if (chunk === undefined) {
              assert.deepEqual(setup.heard(audience, cursor, limit), [])
              break
            }
            assert.ok(chunk.to > cursor && chunk.to <= limit, `after ${cursor} up to ${limit} came ${chunk.to}`)
            setup.check(chunk, audience, cursor)
            cursor = chunk.to
          }
          cursors[step.client] = cursor
        }
      }
    }),
    { numRuns: 150 }
  )
})

t.test('a chunk ends where its slab of 64 KiB does, unless it is small', async (t) => {
  const ends = (sizes: number[]) => {
    const setup = new ReadLog(sizes)
    return setup.history(setup.everyone, 0).map(({ to }) => to)
  }
  t.strictSame(ends([100, 100, 100]), [3])
  // Sixteen do not fit into one with their framing.
  t.strictSame(ends(repeat(40, 4 * KIB)), [15, 30, 40])
  t.strictSame(ends([BLOCK - 1, 12, 12]), [1, 3], 'a large event has a slab to itself')
  t.strictSame(ends([16 * KIB, 5 * BLOCK, 100]), [1, 2, 3], 'and is not cut')
  t.strictSame(ends([16 * KIB - 1, 5 * BLOCK, 100]), [2, 3], 'and takes what is small with it')
})

t.test('events that few clients hear come in chunks large enough to be worth a write', async (t) => {
  const setup = new ReadLog()
  for (let i = 0; i < 640; i++) setup.add(4 * KIB, i % 32 === 0 ? 'a' : 'b')
  const chunks = setup.history(setup.hold('a'), 0)
  t.strictSame(
    chunks.map(({ entries }) => entries.length),
    [4, 4, 4, 4, 4]
  )
})

t.test('clients of one audience at the same cursor are given the same Buffer', async (t) => {
  const setup = new ReadLog(repeat(100, 4 * KIB))
  const { reader, log, everyone } = setup
  const audience = setup.hold('a')
  for (const each of [everyone, audience]) {
    const first = reader.history(each, 0, log.head)!
    const head = reader.history(each, 97, log.head)!
    t.equal(reader.history(each, 97, log.head), head)
    t.equal(reader.history(each, 0, log.head), first, 'also when others have read elsewhere meanwhile')
    t.equal(first.framed, reader.history(each, 0, log.head)!.framed, 'with framing')
    t.equal(first.plain, reader.history(each, 0, log.head)!.plain, 'and without')
    t.equal(first.framed.buffer, log.at(1).slab.buffer, 'which is the memory of the log itself')
  }
})

t.test('a cursor gets the events appended since the last read, too', async (t) => {
  const { log, reader, everyone } = new ReadLog([100])
  const before = reader.history(everyone, 0, 1)
  log.add(100)
  const after = reader.history(everyone, 0, 2)
  t.not(after, before)
  t.equal(after?.to, 2)
  t.equal(reader.history(everyone, 0, 1)?.to, 1, 'and one that wants less is given less')
})

t.test('a reader that asks for less than others have read gets less', async (t) => {
  const { log, reader, everyone } = new ReadLog(repeat(40, 4 * KIB))
  const full = reader.history(everyone, 0, log.head)!
  t.match(full, { to: 15, isFull: true })
  t.equal(reader.history(everyone, 0, 10)?.to, 10)
})

t.test('clients that begin at different cursors share every chunk but their first', async () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(fc.integer({ min: BLOCK / 4, max: BLOCK / 2 }), { minLength: 1, maxLength: 30 }),
        fc.array(fc.integer({ min: 12, max: 8000 }), { minLength: 1, maxLength: 100, size: 'max' })
      ),
      fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
      (sizes, starts) => {
        const setup = new ReadLog(sizes)
        const shared = new Set(setup.history(setup.everyone, 0))
        for (const start of starts) {
          const [, ...rest] = setup.history(setup.everyone, start % setup.log.head)
          for (const chunk of rest)
            assert.ok(shared.has(chunk), `from ${start % setup.log.head}: the chunk up to ${chunk.to}`)
        }
      }
    ),
    { numRuns: 200 }
  )
})

t.test('the events that the log holds for an audience after a cursor are counted', async () => {
  fc.assert(
    fc.property(fc.array(anyTopic, { maxLength: 40 }), patterns, fc.nat(45), (topics, of, cursor) => {
      const setup = new ReadLog([], { events: 20 })
      for (const topic of topics) setup.add(20, topic)
      const { log, reader } = setup
      const audience = setup.hold(...of)
      const after = Math.max(cursor, log.oldest - 1)
      assert.equal(reader.count(audience, cursor, 'nobody'), setup.heard(audience, after, log.head).length)
    })
  )
})
