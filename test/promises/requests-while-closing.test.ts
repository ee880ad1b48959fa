import type { FastifyRequest } from 'fastify'
import t from 'tap'
import type { DisconnectReason, PylonSseOptions } from '../../lib/index.js'
import { gate } from '../kit/deferred.js'
import { serveHeld } from '../kit/held-app.js'
import { withTimeout } from '../kit/patience.js'

const JSON_PAGE = { accept: 'application/json' }

for (const return503OnClosing of [true, false]) {
  const whose = return503OnClosing ? 'Fastify' : 'the plugin'
  t.test(`while the app closes, and ${whose} would answer 503, an EventSource is told when to reconnect`, async (t) => {
    const served = await Promise.all(
      (['http', 'h2c'] as const).map(async (transport) => {
        const s = await serveHeld(t, {
          transport,
          fastify: { return503OnClosing },
          sse: { retry: 1000 },
          setup: (app) => {
            app.get('/plain', async () => 'plain')
          }
        })
        return { s, open: transport === 'http' ? s.connect : s.connectH2 }
      })
    )
    for (const { s, open } of served) {
      const client = await open()
      const kept = s.connect === open ? await s.connect({ path: '/plain' }) : undefined
      const closed = s.app.close()
      await s.streamsEnded
      await client.waitForEnd()
      const origin = { origin: 'https://other.example' }
      const streams = [await open(), await open({ path: '/events?a=1', headers: origin })]
      if (kept !== undefined) streams.push(kept.request({}) as (typeof streams)[0])
      for (const answer of streams) {
        await answer.waitForEnd()
        t.equal(answer.status, 200)
        t.equal(answer.headers.get('content-type'), 'text/event-stream')
        t.equal(answer.headers.get('access-control-allow-origin'), '*')
        t.match(answer.body, /^retry: \d+\n+$/)
        t.ok(answer.retries[0]! >= 1000 && answer.retries[0]! <= 2000)
      }
      const others = [
        await open({ headers: { accept: undefined } }),
        await open({ headers: { accept: '*/*' } }),
        await open({ headers: JSON_PAGE }),
        await open({ method: 'HEAD' })
      ]
      for (const answer of others) {
        await answer.waitForEnd()
        t.equal(answer.status, 503)
      }
      if (!return503OnClosing) {
        t.match(JSON.parse(others[0]!.body), { code: 'PYLON_SSE_ERR_CLOSING' })
        t.match(others[0]!.headers.get('retry-after'), /^[12]$/)
      }
      t.equal((await open({ path: '/nothing' })).status, return503OnClosing ? 503 : 404)
      t.equal(s.app.sse.stats().rejected.closing, streams.length + (return503OnClosing ? 0 : others.length))
      s.closeServer()
      await withTimeout(closed, 'app.close()')
    }
  })
}

t.test('while the app closes, requests that depend on hooks are left to Fastify', async (t) => {
  const origin = { headers: { origin: 'https://other.example' } }
  const cases: [what: string, sse: PylonSseOptions, path: string, request: object, status: number][] = [
    ["overLimit 'status'", { overLimit: 'status' }, '/events', {}, 503],
    ["overLimit 'retry'", { overLimit: 'retry' }, '/events', { headers: { accept: undefined } }, 200],
    ['a policy for other origins', { cors: { origin: ['https://a.example'] } }, '/events', origin, 503],
    ['a policy for other origins, and the own', { cors: { origin: ['https://a.example'] } }, '/events', {}, 200],
    ["the app's own policy", { cors: false }, '/events', origin, 503],
    ['a path with a parameter', { path: '/rooms/:room' }, '/rooms/1', {}, 503],
    ['constraints', { route: { constraints: { version: '1.0.0' } } }, '/events', {}, 503]
  ]
  for (const [what, sse, path, request, status] of cases) {
    const s = await serveHeld(t, { sse })
    const closed = s.app.close()
    await s.streamsEnded
    t.equal((await s.connect({ path, ...request })).status, status, what)
    s.closeServer()
    await withTimeout(closed, 'app.close()')
  }
})

const places: Record<string, { hook?: 'onRequest' | 'onSend'; transport?: 'h2c' }> = {
  'held in an onRequest hook': { hook: 'onRequest' },
  'held in an onSend hook': { hook: 'onSend' },
  'held in an onSend hook over HTTP/2': { hook: 'onSend', transport: 'h2c' },
  'waiting for its turn on the connection': {}
}

const wheres = Object.entries(places).flatMap(([where, place]) =>
  ([undefined, 'status'] as const).map((overLimit) => ({ where, ...place, overLimit }))
)

for (const { where, hook, transport, overLimit } of wheres) {
  const how = overLimit === 'status' ? 'by a status' : 'by a retry'
  t.test(`a request that is ${where} when the app closes is told to come back, ${how}`, async (t) => {
    const held = gate()
    const hold = async ({ headers }: FastifyRequest) => {
      if (headers['x-held']) await held.pass()
    }
    const left: DisconnectReason[] = []
    const s = await serveHeld(t, {
      transport: transport ?? 'http',
      sse: {
        ...(overLimit && { overLimit }),
        compress: true,
        onDisconnect: (_client, reason) => void left.push(reason)
      },
      setup: (app) => {
        if (hook) app.addHook(hook as 'onRequest', hold)
        else app.get('/slow', { preHandler: hold }, async () => 'slow')
      }
    })
    const marked = { headers: { 'x-held': 'yes', 'accept-encoding': 'gzip' } }
    const request = hook ? marked : { ...marked, before: [{ ...marked, path: '/slow' }] }
    const client = await (transport ? s.connectH2 : s.connect)({ ...request, waitForHead: false })
    await held.reached
    const closed = s.app.close()
    await s.streamsEnded
    held.open()
    await client.waitForEnd()
    t.equal(client.status, overLimit === 'status' ? 503 : 200)
    if (overLimit !== 'status') {
      t.equal(client.headers.get('content-type'), 'text/event-stream')
      t.equal(client.headers.get('access-control-allow-origin'), '*')
      t.equal(client.headers.get('content-encoding'), null)
      t.match(client.body, /^retry: \d+\n+$/)
    }
    t.equal(s.app.sse.stats().rejected.closing, 1)
    s.closeServer()
    await closed
    t.strictSame(left, [], 'it was no client')
    t.equal(s.app.sse.stats().accepted, 0)
  })
}
