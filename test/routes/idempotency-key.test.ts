import t from 'tap'
import { post, servePublic } from '../kit/posted-events.js'
import { heard } from '../kit/topics.js'

t.test('a request that is repeated with its idempotency key gets the same ids, and publishes nothing', async (t) => {
  const served = await servePublic(t)
  const reader = await served.connect()
  const key = { headers: { 'idempotency-key': 'k1' } }
  const first = await post(served, [{ data: 1 }, { data: 2, id: 'own' }], key)
  t.equal(first.status, 202)
  for (let i = 0; i < 3; i++) t.strictSame(await post(served, [{ data: 1 }, { data: 2, id: 'own' }], key), first)
  const [one, two] = await Promise.all([
    post(served, { data: 3 }, { headers: { 'idempotency-key': 'k2' } }),
    post(served, { data: 3 }, { headers: { 'idempotency-key': 'k2' } })
  ])
  t.strictSame(one, two)
  await post(served, { data: 4 })
  await post(served, { data: 4 })
  t.strictSame(await heard(served, reader), [['1', '2', '3', '4', '4']])
})

t.test('an idempotency key that is reused with another body is refused with 422', async (t) => {
  const served = await servePublic(t)
  const reader = await served.connect()
  const key = { headers: { 'idempotency-key': 'k' } }
  const first = await post(served, { data: 1 }, key)
  for (const body of [{ data: 2 }, { data: 1, topic: 'a' }, [{ data: 1 }, { data: 1 }]]) {
    t.match(await post(served, body, key), { status: 422, body: { code: 'PYLON_SSE_ERR_IDEMPOTENCY_KEY_REUSED' } })
  }
  t.strictSame(await post(served, { data: 1 }, key), first, 'while the first body still gets its answer')
  t.strictSame(await heard(served, reader), [['1']])
})

t.test('a request that was refused does not use up its idempotency key', async (t) => {
  const served = await servePublic(t)
  served.app.sse.broadcast('held', { id: 'held' })
  const key = { headers: { 'idempotency-key': 'k' } }
  t.equal((await post(served, { data: 1, id: 'held' }, key)).status, 409)
  t.equal((await post(served, { data: 1, id: 'other' }, key)).status, 202)
})

t.test('an empty idempotency key is none, and one of more than 255 characters is refused', async (t) => {
  const served = await servePublic(t)
  const withKey = (key: string) => ({ headers: { 'idempotency-key': key } })
  for (const data of [1, 2]) t.equal((await post(served, { data }, withKey(''))).status, 202)
  t.equal((await post(served, { data: 1 }, withKey('k'.repeat(255)))).status, 202)
  const refused = await post(served, { data: 1 }, withKey('k'.repeat(256)))
  t.match(refused, { status: 400, body: { code: 'PYLON_SSE_ERR_INVALID_EVENT' } })
})
