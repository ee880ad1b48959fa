import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type Direct, Outbox } from '../../../lib/hub/clients/outbox.js'
import { OwnChunk } from '../../../lib/log/chunk.js'

function direct(after: number, size: number): Direct {
  return { after, chunk: new OwnChunk([Buffer.alloc(size)]) }
}

/** Empties an outbox. */
function drain(outbox: Outbox): Direct[] {
  const directs: Direct[] = []
  for (let first = outbox.first; first !== undefined; first = outbox.first) {
    directs.push(first)
    outbox.shift()
  }
  return directs
}

t.test('events come out as they went in', async (t) => {
  const outbox = new Outbox(10, 1000)
  t.equal(outbox.first, undefined)
  const directs = [direct(0, 10), direct(0, 10), direct(3, 10)]
  for (const each of directs) outbox.push(each)
  t.equal(outbox.first, directs[0])
  t.equal(outbox.first, directs[0], 'looking does not take')
  t.equal(outbox.trim(), 0)
  t.strictSame(drain(outbox), directs)
  t.equal(outbox.trim(), 0)
})

t.test('past the number of events the oldest are dropped', async (t) => {
  const outbox = new Outbox(2, 1000)
  const directs = [1, 2, 3, 4].map((after) => direct(after, 10))
  for (const each of directs) outbox.push(each)
  t.equal(outbox.trim(), 2)
  t.equal(outbox.trim(), 0)
  t.strictSame(drain(outbox), directs.slice(2))
})

t.test('past the bytes the oldest are dropped, but never the last', async (t) => {
  const outbox = new Outbox(10, 100)
  for (const size of [50, 50]) outbox.push(direct(0, size))
  t.equal(outbox.trim(), 0, 'as many as may be')
  outbox.push(direct(0, 1))
  t.equal(outbox.trim(), 1)
  outbox.push(direct(0, 5000))
  t.equal(outbox.trim(), 2)
  t.equal(outbox.first?.chunk.size, 5000)
})

t.test('an outbox that is cleared is empty, and has its room again', async (t) => {
  const outbox = new Outbox(2, 100)
  for (const size of [60, 40]) outbox.push(direct(0, size))
  outbox.clear()
  t.equal(outbox.first, undefined)
  for (const size of [60, 40]) outbox.push(direct(0, size))
  t.equal(outbox.trim(), 0)
})

t.test('however events come and go, the newest that fit are held', async () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 60 }) }) },
    fc.constantFrom('shift' as const, 'trim' as const, 'clear' as const)
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60, size: 'max' }), (max, steps) => {
      const outbox = new Outbox(max, 100)
      let naive: Direct[] = []
      let after = 0
      for (const step of steps) {
        if (step === 'clear') {
          outbox.clear()
          naive = []
        } else if (step === 'shift') {
          if (naive.shift() !== undefined) outbox.shift()
        } else if (step === 'trim') {
          const before = naive.length
          const bytes = () => naive.reduce((sum, { chunk }) => sum + chunk.size, 0)
          while (naive.length > 1 && (naive.length > max || bytes() > 100)) naive.shift()
          assert.equal(outbox.trim(), before - naive.length)
        } else {
          const pushed = direct(after++, step.push)
          outbox.push(pushed)
          naive.push(pushed)
        }
        assert.equal(outbox.first, naive[0])
      }
      assert.deepEqual(drain(outbox), naive)
    })
  )
})
