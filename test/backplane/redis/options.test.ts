import { Redis } from 'ioredis'
import t from 'tap'
import { create } from '../../../lib/backplane/redis/client.js'
import { type RedisStreamsOptions, redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { join, Listener, PLENTY, parcels } from '../../kit/backplane-listener.js'
import { failureOf, open, withRedis } from '../../kit/redis-streams.js'

t.test('invalid options are refused by name', async (t) => {
  const url = 'redis://localhost'
  const wrong: [options: unknown, names: RegExp][] = [
    [{}, /backplane.*neither client nor url/],
    [{ url, client: new Redis({ lazyConnect: true }) }, /backplane.*both/],
    [{ client: {} }, /backplane\.client/],
    [{ url: 'http://user:secret@localhost' }, /backplane\.url/],
    [{ url: 'localhost:6379' }, /backplane\.url/],
    [{ url: 7 }, /backplane\.url/],
    [{ url, key: '' }, /backplane\.key/],
    [{ url, maxLength: 999 }, /backplane\.maxLength.*999.*from 1000/],
    [{ url, maxLength: 1e9 + 0.5 }, /backplane\.maxLength/],
    [{ url, publishTimeout: 0 }, /backplane\.publishTimeout/],
    [{ url, maxlength: 5000 }, /backplane\.maxlength' does not exist; did you mean 'backplane.maxLength'\?/]
  ]
  for (const [options, names] of wrong) {
    const error = t.throws(() => redisStreams(options as RedisStreamsOptions), { code: 'PYLON_SSE_ERR_INVALID_OPTION' })
    t.match((error as unknown as Error).message, names)
    t.notMatch((error as unknown as Error).message, /secret/)
  }
  t.match(redisStreams({ url, optional: true, maxPending: 7 }), {
    name: 'redis',
    limits: { optional: true, maxPending: 7 }
  })
})

t.test('without ioredis a url is refused, and the error says what to install', async (t) => {
  const missing = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
  await t.rejects(
    create('redis://localhost', () => Promise.reject(missing)),
    /npm install ioredis/
  )
  await t.rejects(
    create('redis://localhost', () => Promise.reject(new Error('other'))),
    /other/
  )
})

withRedis('a backplane can be joined once, and not after it was closed', async (t, { url, ...server }) => {
  void server
  const backplane = open(t, { url })
  await join(backplane)
  t.match((await failureOf(backplane.join(PLENTY, new Listener()))).message, /joined already/)
  const closed = open(t, { url })
  const joining = closed.join(PLENTY, new Listener())
  const refused = t.rejects(joining, { code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE' })
  await closed.close()
  await refused
  await t.rejects(closed.publish(parcels('x')), { code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE' })
  await closed.close()
})
