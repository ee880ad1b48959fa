import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { event, KIB, ReadLog } from '../kit/read-log.js'

t.test('the news after a cursor have each event that the audience hears, once and in order', async () => {
  const round = fc.record({
    events: fc.array(event, { maxLength: 8 }),
    // Which of the audiences offer their clients what is new, one after another.
    offers: fc.shuffledSubarray([0, 1, 2, 3])
  })
  fc.assert(
    fc.property(fc.array(round, { maxLength: 12 }), fc.constantFrom(1, 2), (rounds, cohorts) => {
      const setup = new ReadLog([], { cohorts })
      const { log, reader } = setup
      const audiences = [setup.everyone, setup.hold('a'), setup.hold('a.*', 'b'), setup.hold('**')]
      const cursors = audiences.map(() => 0)
      const got = audiences.map((): number[] => [])
      for (const { events, offers } of rounds) {
        for (const { size, topic } of events) setup.add(size, topic)
        for (const i of offers) {
          const audience = audiences[i]!
          for (;;) {
            const cursor = cursors[i]!
            const chunk = reader.news(audience, cursor)
            if (cohorts > 1) assert.equal(reader.news(audience, cursor), chunk, 'the next cohort is given the same')
            if (chunk === undefined) break
            assert.ok(chunk.to > cursor && chunk.to <= log.head)
            setup.check(chunk, audience, cursor)
            got[i]!.push(...chunk.entries.map(({ seq }) => seq))
            cursors[i] = chunk.to
          }
          cursors[i] = log.head
          audience.settle()
          assert.deepEqual(
            got[i],
            setup.heard(audience, 0, log.head).map(({ seq }) => seq)
          )
        }
      }
    }),
    { numRuns: 150 }
  )
})

t.test('news that every audience hears are the same Buffer for all, whatever their cursors before', async (t) => {
  const setup = new ReadLog([], { cohorts: 1 })
  const { reader, log, everyone } = setup
  const one = setup.hold('a')
  const other = setup.hold('b')
  setup.add(100, 'a')
  setup.add(100, 'b')
  const behind = log.head - 2
  for (const audience of [one, other]) {
    t.ok(reader.news(audience, behind))
    audience.settle()
  }
  setup.add(100)
  const common = reader.news(everyone, behind)!
  t.strictSame(
    common.entries.map(({ seq }) => seq),
    [3]
  )
  t.equal(reader.news(one, 1), common)
  t.equal(reader.news(other, 2), common)
  t.equal(reader.news(everyone, 0), common)
})

t.test('news of an audience are shared by its groups of clients', async (t) => {
  const setup = new ReadLog()
  const audience = setup.hold('a')
  const other = setup.hold('b')
  setup.add(100, 'a')
  const chunk = setup.reader.news(audience, 0)
  t.equal(setup.reader.news(other, 0), undefined)
  t.equal(setup.reader.news(audience, 0), chunk, 'also when others have asked meanwhile')
})

t.test('a group of clients that asks later gets the events appended since, too', async (t) => {
  const setup = new ReadLog()
  const audience = setup.hold('a')
  setup.add(100, 'a')
  t.equal(setup.reader.news(audience, 0)?.to, 1)
  setup.add(100, 'a')
  const chunk = setup.reader.news(audience, 0)!
  setup.check(chunk, audience, 0)
  t.equal(chunk.to, 2)
})

t.test('news that only one group of clients hears are not cached', async (t) => {
  const setup = new ReadLog([], { cohorts: 1 })
  const audience = setup.hold('a')
  const other = setup.hold('b')
  setup.add(100, 'a')
  const chunk = setup.reader.news(audience, 0)
  t.equal(setup.reader.news(other, 0), undefined)
  t.not(setup.reader.news(audience, 0), chunk)
})

t.test('a burst of news comes in chunks that end where their slabs end', async (t) => {
  const setup = new ReadLog()
  const { log } = setup
  const audience = setup.hold('a')
  for (let i = 0; i < 100; i++) setup.add(4 * KIB, i % 2 === 0 ? 'a' : undefined)
  for (const each of [setup.everyone, audience]) {
    const ends: number[] = []
    for (let chunk = setup.reader.news(each, 0); chunk !== undefined; chunk = setup.reader.news(each, chunk.to)) {
      ends.push(chunk.to)
      t.equal(chunk.isFull, chunk.to < 100)
      t.equal(
        chunk.framed.buffer === log.at(chunk.to).slab.buffer,
        each === audience,
        'not copied where it need not be'
      )
    }
    // Fifteen events a slab; everyone hears every second one.
    t.strictSame(ends, each === audience ? [15, 30, 45, 60, 75, 90, 100] : [14, 30, 44, 60, 74, 90, 100])
  }
})
