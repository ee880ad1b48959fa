import t from 'tap'
import { IdempotencyKeys } from '../../lib/backplane/idempotency.js'

const at = (key: string, index = 0, count = 1, digest = 'digest') => ({ key, digest, index, count })

/** Remembers a request of so many events. */
function remember(answers: IdempotencyKeys, key: string, count = 1): void {
  for (let index = 0; index < count; index++) answers.add(at(key, index, count), `${key}-${index}`)
}

t.test('an answer is found by its key, event by event', async (t) => {
  const answers = new IdempotencyKeys(1000)
  t.equal(answers.find(at('a')), undefined)
  remember(answers, 'a')
  answers.add(at('b', 1, 2), 'second')
  t.equal(answers.find(at('a')), 'a-0')
  t.equal(answers.find(at('b', 0, 2)), undefined)
  t.equal(answers.find(at('b', 1, 2)), 'second')
})

t.test('a key reused for other events is refused, and keeps its answer', async (t) => {
  const answers = new IdempotencyKeys(1000)
  remember(answers, 'a')
  const error = { code: 'PYLON_SSE_ERR_IDEMPOTENCY_KEY_REUSED', statusCode: 422 }
  t.throws(() => answers.find(at('a', 0, 1, 'another')), error)
  t.equal(answers.find(at('a')), 'a-0')
})

t.test('the oldest answers are forgotten when too many ids are kept, those of few ids counting as ten', async (t) => {
  const answers = new IdempotencyKeys(100)
  remember(answers, 'large', 60)
  for (const key of ['a', 'b', 'c', 'd']) remember(answers, key)
  t.equal(answers.size, 5)
  remember(answers, 'e')
  t.equal(answers.find(at('large', 0, 60)), undefined)
  t.equal(answers.size, 5)
  for (let n = 0; n < 1000; n++) remember(answers, `key ${n}`)
  t.equal(answers.size, 10)
  remember(answers, 'larger than all', 101)
  t.equal(answers.size, 0)
})
