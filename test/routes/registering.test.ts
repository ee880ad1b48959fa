import type { FastifyInstance } from 'fastify'
import fastify from 'fastify'
import t from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import pylonSse from '../../lib/index.js'
import { answerOf } from '../kit/answers.js'
import { getsIn, ONE_SLOT } from '../kit/one-slot.js'
import { serve } from '../kit/server.js'

t.test('a prefix given to register applies to the path, in a nested scope too', async (t) => {
  const cases: { prefix?: string; scope?: string; path?: string; url: string }[] = [
    { url: '/events' },
    { prefix: '/api', url: '/api/events' },
    { prefix: '/api/', url: '/api/events' },
    { prefix: 'api', url: '/api/events' },
    { prefix: '/', url: '/events' },
    { prefix: '/api', path: '/live/all', url: '/api/live/all' },
    { prefix: '/:tenant', url: '/acme/events' },
    { scope: '/v1', url: '/v1/events' },
    { scope: '/v1', prefix: '/api', url: '/v1/api/events' }
  ]
  for (const { prefix, scope, path, url } of cases) {
    const options = { ...(prefix !== undefined && { prefix }), ...(path !== undefined && { path }) }
    let inner!: FastifyInstance
    const s = await serve(t, {
      sse: false,
      setup: (app) =>
        app.register(
          async (scoped) => {
            await scoped.register(pylonSse, options)
            inner = scoped
          },
          scope === undefined ? {} : { prefix: scope }
        )
    })
    const client = await s.connect({ path: url })
    t.equal(client.status, 200, url)
    inner.sse.broadcast(url)
    t.equal((await client.next()).data, JSON.stringify(url))
    const preflight = await answerOf(s, {
      path: url,
      method: 'OPTIONS',
      headers: { origin: 'https://a.example', 'access-control-request-method': 'GET' }
    })
    t.equal(preflight.status, 204, `${url}: its preflight`)
    if (url !== '/events') t.equal((await answerOf(s)).status, 404, `${url}: and nowhere else`)
  }
})

t.test('registered twice, under different paths and decorators, the plugin is two independent hubs', async (t) => {
  const s = await serve(t, {
    sse: ONE_SLOT,
    setup: (app) => app.register(pylonSse, { ...ONE_SLOT, path: '/orders', decorator: 'orders', retry: 7 })
  })
  const { sse, orders } = s.app as FastifyInstance & { orders: FastifyInstance['sse'] }
  const client = await getsIn(t, s, 'a slot of the one')
  const ordersClient = await getsIn(t, s, 'and a slot of the other', { path: '/orders' })
  sse.broadcast('for the one')
  orders.broadcast('for the other')
  sse.broadcast('last')
  orders.broadcast('last')
  t.strictSame(
    (await client.take(2)).map(({ data }) => data),
    ['"for the one"', '"last"']
  )
  t.strictSame(
    (await ordersClient.take(2)).map(({ data }) => data),
    ['"for the other"', '"last"']
  )
  t.strictSame([client.retries, ordersClient.retries], [[], [7]])
  t.strictSame([sse.clientCount, orders.clientCount], [1, 1])
  for (const { id } of sse.clients) t.notOk([...orders.clients].some((other) => other.id === id))
  for (const each of orders.clients) each.close()
  await ordersClient.waitForEnd()
  const stranger = await s.connect({ path: '/orders', lastEventId: client.lastEventId })
  t.match(await stranger.next(), { event: 'resync', data: '{"reason":"unknown","missed":null}' })
  sse.broadcast('the one goes on')
  t.equal((await client.next()).data, '"the one goes on"')
  await Promise.all([s.app.close(), client.waitForEnd(), stranger.waitForEnd()])
})

t.test('register fails on options that it cannot serve, and names them', async (t) => {
  const cases: [what: string, options: object, error: { code: string; message?: RegExp } | { message: RegExp }][] = [
    ['no such option', { shard: 3 }, { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: /'shard'/ }],
    ['a bad value', { path: 'events' }, { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: /'path' got 'events'/ }],
    ["the plugin's own", { route: { handler: () => {} } }, { message: /'route\.handler'/ }],
    ['a bad option of cors', { cors: { hook: 'onTuesday' } }, { message: /Invalid hook option/ }],
    ['a taken decorator', { decorator: 'taken' }, { message: /'decorator' is 'taken', which the app has already/ }],
    ['a taken path', { path: '/taken' }, { message: /'path' is '\/taken', where the app has a route already/ }],
    [
      'a bad schema',
      { route: { schema: { querystring: { type: 'nothing' } } } },
      { code: 'FST_ERR_SCH_VALIDATION_BUILD' }
    ]
  ]
  for (const [what, options, error] of cases) {
    const app = fastify()
    app.decorate('taken', true)
    app.get('/taken', async () => 'taken')
    const registered = async () => {
      await app.register(pylonSse, options as PylonSseOptions)
      await app.ready()
    }
    await t.rejects(registered(), error, what)
    await app.close().catch(() => {})
  }
})
