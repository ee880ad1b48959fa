import type { FastifyInstance } from 'fastify'
import fastify from 'fastify'
import t from 'tap'
import type { SseDashboardOptions } from '../../../lib/entries/dashboard/dashboard.js'
import sseDashboard from '../../../lib/entries/dashboard/dashboard.js'
import pylonSse from '../../../lib/index.js'
import { Heard } from '../../kit/diagnostics.js'
import { serve } from '../../kit/server.js'
import { OPEN, snapshots, watched } from '../../kit/watched-hub.js'

t.test('the dashboard does not start without a hook that protects it, unless unprotected is set', async (t) => {
  const hook = async () => {}
  const fine: SseDashboardOptions[] = [
    { unprotected: true },
    { route: { onRequest: hook } },
    { route: { preParsing: [async (_request, _reply, payload) => payload] } },
    { route: { preValidation: hook } },
    { route: { preHandler: [hook] } }
  ]
  for (const options of fine) {
    const app = fastify()
    await app.register(pylonSse)
    await app.register(sseDashboard, options)
    await app.ready()
    await app.close()
  }
  const refused: [options: object, message: RegExp][] = [
    [{}, /'route' has no hook that decides who may see the page \(onRequest, .*\); set one, or unprotected: true/],
    [{ route: { onRequest: [] } }, /'route' has no hook/],
    [{ route: { onResponse: hook } }, /'route' has no hook/],
    [{ unprotected: 'no' }, /'route' has no hook/],
    [{ ...OPEN, path: 'live' }, /'path' got "live"; it takes a path such as/],
    [{ ...OPEN, path: '/' }, /'path' got "\/"/],
    [{ ...OPEN, path: 7 }, /'path' got 7/],
    [{ ...OPEN, interval: 5 }, /'interval' got 5; it takes 100 to 60000 ms/],
    [{ ...OPEN, pauseTime: '1s' }, /'pauseTime' got 1s; it takes 100 to 600000 ms/],
    [{ ...OPEN, decorator: 'live' }, /'decorator' is 'live', where the app has no hub/]
  ]
  for (const [options, message] of refused) {
    const app = fastify()
    await app.register(pylonSse)
    const registering = async () => app.register(sseDashboard, options as SseDashboardOptions)
    await t.rejects(registering, { code: 'PYLON_SSE_ERR_INVALID_OPTION', message })
    await app.close()
  }
})

t.test('the hooks guard every route: page, files, stream, search and actions', async (t) => {
  const asked: string[] = []
  const s = await watched(t, {
    route: {
      onRequest: async (request, reply) => {
        asked.push(`${request.method} ${request.url}`)
        if (request.headers.authorization !== 'yes') return reply.code(401).send({})
      }
    }
  })
  const all: ['GET' | 'POST', string][] = [
    ['GET', '/sse-dashboard'],
    ['GET', '/sse-dashboard/page.css'],
    ['GET', '/sse-dashboard/page.js'],
    ['GET', '/sse-dashboard/events'],
    ['GET', '/sse-dashboard/clients'],
    ['POST', '/sse-dashboard/clients/x/close'],
    ['POST', '/sse-dashboard/clients/x/pause'],
    ['POST', '/sse-dashboard/clients/x/resume']
  ]
  for (const [method, url] of all) {
    t.equal((await s.app.inject({ method, url })).statusCode, 401, url)
    if (url.endsWith('/events')) continue
    const { statusCode } = await s.app.inject({ method, url, headers: { authorization: 'yes' } })
    t.equal(statusCode, method === 'POST' ? 404 : 200, `${url} with it; there is no client x`)
  }
  t.strictSame(
    [...new Set(asked)],
    all.map((each) => each.join(' '))
  )
})

t.test('the page has a content security policy, and loads nothing from elsewhere', async (t) => {
  const s = await watched(t)
  for (const url of ['/sse-dashboard', '/sse-dashboard/page.css', '/sse-dashboard/page.js', '/sse-dashboard/clients']) {
    const { headers, body } = await s.app.inject(url)
    t.match(headers['content-security-policy'], /^default-src 'none'; script-src 'self';.*frame-ancestors 'none'$/)
    t.match(headers, { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    t.notMatch(body.replaceAll('http://www.w3.org/2000/svg', ''), /https?:\/\/|unsafe-inline/, url)
  }
  const { body, headers } = await s.app.inject('/sse-dashboard?x=1')
  t.equal(headers['content-type'], 'text/html; charset=utf-8')
  t.match(body, /src="sse-dashboard\/page\.js"/, 'by relative URLs, for proxies that take a prefix away')
  t.notMatch(body, /<script(?![^>]*src=)|<style| style=| on\w+=/, 'and nothing is inline')
})

t.test('the dashboard works under a prefix, with or without a slash at the end of its URL', async (t) => {
  const s = await serve(t, {
    fastify: { routerOptions: { ignoreTrailingSlash: true } },
    sse: false,
    setup: async (app) => {
      await app.register(pylonSse, { decorator: 'live' })
      await app.register(sseDashboard, { ...OPEN, decorator: 'live', hub: '<b>', prefix: '/admin', path: '/live' })
    }
  })
  t.match((await s.app.inject('/admin/live')).body, /<title>Live stream: &#60;b&#62;<\/title>/)
  t.match((await s.app.inject('/admin/live')).body, /href="live\/page\.css"/)
  t.match((await s.app.inject('/admin/live/')).body, /href="\.\/page\.css"/)
  const watching = await snapshots(s, '/admin/live/events')
  t.match(await watching.until(() => true), { hub: '<b>', stats: { connected: 0 }, clients: [] })
})

t.test('with actions: false the dashboard cannot close or pause clients', async (t) => {
  const s = await watched(t, { ...OPEN, actions: false })
  await s.connect()
  const [client] = s.app.sse.clients
  for (const action of ['close', 'pause', 'resume']) {
    const url = `/sse-dashboard/clients/${client!.id}/${action}`
    t.equal((await s.app.inject({ method: 'POST', url })).statusCode, 404)
  }
  t.equal((await (await snapshots(s)).until(() => true)).isWritable, false)
})

t.test('each of two hubs of an app can have its own page', async (t) => {
  const gone = new Heard(t, 'pylon-sse:client:disconnect')
  const s = await serve(t, {
    sse: false,
    setup: async (app: FastifyInstance) => {
      await app.register(pylonSse)
      await app.register(pylonSse, { path: '/b', decorator: 'b' })
      await app.register(sseDashboard, OPEN)
      await app.register(sseDashboard, { ...OPEN, decorator: 'b', path: '/b/live' })
    }
  })
  await (await s.connect({ path: '/b' })).close()
  await gone.at(0)
  t.match(await (await snapshots(s, '/b/live/events')).until(() => true), { hub: 'b', disconnects: [{}] })
  t.match(await (await snapshots(s)).until(() => true), { hub: 'sse', disconnects: [] })
})
