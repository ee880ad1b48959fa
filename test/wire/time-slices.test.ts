import t from 'tap'
import { inSlices } from '../../lib/wire/time-slices.js'

/** Holds the event loop. */
function work(ms: number): void {
  const start = performance.now()
  while (performance.now() - start < ms);
}

t.test(
  'what takes long for many is done a slice at a time, in order, and others have their turns between',
  async (t) => {
    const done: number[] = []
    let turns = 0
    const count = () => {
      turns++
      other = setImmediate(count)
    }
    let other = setImmediate(count)
    await inSlices([1, 2, 3, 4, 5, 6], (n) => {
      work(15)
      done.push(n)
    })
    clearImmediate(other)
    t.strictSame(done, [1, 2, 3, 4, 5, 6])
    t.ok(turns >= 3, `${turns} turns`)
  }
)

t.test('short work is done within one turn', async (t) => {
  let isLater = false
  const other = setImmediate(() => {
    isLater = true
  })
  await inSlices([1, 2, 3], () => {})
  t.equal(isLater, false)
  clearImmediate(other)
})
