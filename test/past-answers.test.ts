import t from 'tap'
import { PastAnswers } from '../lib/past-answers.js'

const idsOf = (count: number) => Array.from({ length: count }, (_, i) => `id-${i}`)

t.test('an answer is found by its key', async (t) => {
  const answers = new PastAnswers(1000)
  t.equal(answers.find('a', 'digest'), undefined)
  answers.add('a', { digest: 'digest', ids: ['1'] })
  answers.add('b', { digest: 'digest', ids: ['2'] })
  t.strictSame(answers.find('a', 'digest'), ['1'])
  t.strictSame(answers.find('b', 'digest'), ['2'])
})

t.test('a key that comes with other events is refused, and keeps its answer', async (t) => {
  const answers = new PastAnswers(1000)
  answers.add('a', { digest: 'digest', ids: ['1'] })
  t.throws(() => answers.find('a', 'another'), { code: 'PYLON_SSE_ERR_IDEMPOTENCY_KEY_REUSED', statusCode: 422 })
  t.strictSame(answers.find('a', 'digest'), ['1'])
})

t.test('the oldest answers are forgotten when too many ids are kept, those of few ids counting as ten', async (t) => {
  const answers = new PastAnswers(100)
  answers.add('large', { digest: 'd', ids: idsOf(60) })
  for (const key of ['a', 'b', 'c', 'd']) answers.add(key, { digest: 'd', ids: ['1'] })
  t.equal(answers.size, 5)
  answers.add('e', { digest: 'd', ids: ['1'] })
  t.equal(answers.find('large', 'd'), undefined)
  t.equal(answers.size, 5)
  for (let n = 0; n < 1000; n++) answers.add(`key ${n}`, { digest: 'd', ids: [] })
  t.equal(answers.size, 10)
  answers.add('larger than all', { digest: 'd', ids: idsOf(101) })
  t.equal(answers.size, 0)
})
