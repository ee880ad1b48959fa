import t from 'tap'
import { countOf, type SmallSet, withOne, withoutOne } from '../../lib/log/small-set.js'

t.test('one stands for itself, several are a set, and each is among them once', async (t) => {
  const [a, b, c] = [{ is: 'a' }, { is: 'b' }, { is: 'c' }]
  let few: SmallSet<{ is: string }>
  t.equal(countOf(few), 0)
  few = withOne(few, a)
  t.equal(few, a)
  few = withOne(few, a)
  t.strictSame([few, countOf(few)], [a, 1])
  for (const one of [b, c, b, a]) few = withOne(few, one)
  t.strictSame([few, countOf(few)], [new Set([a, b, c]), 3])
})

t.test('who leaves is no longer among them, and who was not leaves nobody out', async (t) => {
  const [a, b, stranger] = [{ is: 'a' }, { is: 'b' }, { is: 'stranger' }]
  t.equal(withoutOne(undefined, stranger), undefined)
  t.equal(withoutOne(a, stranger), a)
  t.equal(withoutOne(a, a), undefined)
  let few = withOne(withOne(undefined, a), b)
  few = withoutOne(few, stranger)
  t.equal(countOf(few), 2)
  few = withoutOne(few, a)
  t.strictSame([countOf(few), few instanceof Set && few.has(b)], [1, true])
  t.equal(withoutOne(few, b), undefined)
})
