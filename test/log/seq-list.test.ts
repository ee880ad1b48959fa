import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { SeqList } from '../../lib/log/seq-list.js'
import { heapUsed } from '../kit/heap.js'

function contents(list: SeqList, after = Number.NEGATIVE_INFINITY): number[] {
  return [...list.after(after)]
}

t.test('a list begins empty', async (t) => {
  const list = new SeqList()
  t.equal(list.size, 0)
  t.strictSame(contents(list), [])
  list.dropBelow(10)
  t.strictSame(contents(list), [])
})

t.test('whatever is appended and dropped, the list is what a naive one would be', async () => {
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ push: fc.integer({ min: 1, max: 2000 }), gap: fc.integer({ min: 1, max: 3 }) })
    },
    { weight: 2, arbitrary: fc.record({ drop: fc.double({ min: 0, max: 1.1, noNaN: true }) }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12, size: 'max' }), (steps) => {
      const list = new SeqList()
      let naive: number[] = []
      let last = 0
      for (const step of steps) {
        if ('push' in step) {
          for (let i = 0; i < step.push; i++) {
            last += step.gap
            list.push(last)
            naive.push(last)
          }
        } else {
          const first = naive[0] ?? last
          const floor = Math.round(first + step.drop * (last - first))
          list.dropBelow(floor)
          naive = naive.filter((seq) => seq >= floor)
        }
        assert.equal(list.size, naive.length)
        const middle = naive[naive.length >> 1] ?? 0
        for (const after of [0, (naive[0] ?? 0) - 1, naive[0] ?? 0, middle - 1, middle, middle + 1, last - 1, last]) {
          const [got, wanted] = [contents(list, after), naive.filter((seq) => seq > after)]
          // deepEqual on thousands takes longer than all the rest.
          assert.ok(got.length === wanted.length && got.every((seq, i) => seq === wanted[i]), `after ${after}`)
        }
      }
    }),
    { numRuns: 50 }
  )
})

t.test('what is appended while it is read is read, too', async (t) => {
  const list = new SeqList()
  list.push(1)
  list.push(2)
  const seen: number[] = []
  for (const seq of list.after(0)) {
    seen.push(seq)
    if (seq === 1) list.push(3)
  }
  t.strictSame(seen, [1, 2, 3])
})

t.test('what is dropped does not stay in memory', async (t) => {
  const list = new SeqList()
  const before = heapUsed()
  for (let seq = 1; seq <= 2_000_000; seq++) {
    list.push(seq)
    list.dropBelow(seq - 100)
  }
  t.strictSame([list.size, contents(list, 1_999_998)], [101, [1_999_999, 2_000_000]])
  const grown = heapUsed() - before
  t.ok(grown < 2_000_000, `${grown} bytes`)
})
