import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import autoload from '@fastify/autoload'
import fastify from 'fastify'
import t from 'tap'
import { type PylonSseOptions, pylonSse } from '../../lib/index.js'
import { serve } from '../kit/server.js'

for (const prefix of ['/live', '/:room', '/live/']) {
  t.test(`path '/' under the prefix '${prefix}' answers GET, HEAD, POST and OPTIONS on the same URLs`, async (t) => {
    const app = fastify()
    t.teardown(() => app.close())
    await app.register(pylonSse, { path: '/', prefix, publish: {} })
    const base = prefix.replace(':room', 'a').replace(/\/$/, '')
    for (const url of [base, `${base}/`]) {
      const stream = await app.inject({ url, payloadAsStream: true })
      stream.stream().destroy()
      const head = await app.inject({ url, method: 'HEAD' })
      t.equal(head.statusCode, stream.statusCode, `HEAD ${url}`)
      const headers = { origin: 'http://a.example', 'access-control-request-method': 'GET' }
      const options = await app.inject({ url, method: 'OPTIONS', headers })
      t.equal(options.statusCode, stream.statusCode === 200 ? 204 : stream.statusCode, `OPTIONS ${url}`)
      const post = await app.inject({ url, method: 'POST', payload: { data: 1 } })
      t.equal(post.statusCode, stream.statusCode === 200 ? 202 : stream.statusCode, `POST ${url}`)
    }
  })
}

t.test('two hubs on one path are told apart by version, and share the answer to preflights', async (t) => {
  const s = await serve(t, {
    sse: { route: { constraints: { version: '1.0.0' } } },
    setup: async (app) => {
      await app.register(pylonSse, { decorator: 'second', route: { constraints: { version: '2.0.0' } } })
    }
  })
  const { second } = s.app as unknown as { second: typeof s.app.sse }
  const [one, two] = [
    await s.connect({ headers: { 'accept-version': '1.x' } }),
    await s.connect({ headers: { 'accept-version': '2.x' } })
  ]
  s.app.sse.broadcast('one')
  second.broadcast('two')
  t.equal((await one.next()).data, '"one"')
  t.equal((await two.next()).data, '"two"')
  const preflight = await s.app.inject({
    url: '/events',
    method: 'OPTIONS',
    headers: { origin: 'http://a.example', 'access-control-request-method': 'GET' }
  })
  t.equal(preflight.statusCode, 204)
})

t.test('two hubs on one path without constraints are refused', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(pylonSse)
  await t.rejects(
    async () => {
      await app.register(pylonSse, { decorator: 'second' })
    },
    { code: 'PYLON_SSE_ERR_INVALID_OPTION', cause: { code: 'FST_ERR_DUPLICATED_ROUTE' } }
  )
})

t.test('under compress a page that is worth it is compressed, where it says that it varies', async (t) => {
  const s = await serve(t, { sse: { compress: true } })
  const json = 'application/json'
  const get = (encoding: string) =>
    s.app.inject({ url: '/events', headers: { accept: json, 'accept-encoding': encoding } })
  const small = await get('gzip')
  t.match(small.headers, { vary: 'accept-encoding' })
  t.notOk('content-encoding' in small.headers)
  t.strictSame(small.json().events, [])
  for (let i = 0; i < 50; i++) s.app.sse.broadcast({ i, text: 'x'.repeat(100) })
  const large = await get('gzip')
  t.match(large.headers, { vary: 'accept-encoding', 'content-encoding': 'gzip', 'content-type': /json/ })
  t.equal(Number(large.headers['content-length']), large.rawPayload.length)
  t.ok(large.rawPayload.length < 2000)
  t.equal(JSON.parse(gunzipSync(large.rawPayload).toString()).events.length, 50)
  const plain = await get('identity')
  t.match(plain.headers, { vary: 'accept-encoding' })
  t.notOk('content-encoding' in plain.headers)
  t.equal(plain.json().events.length, 50)
})

t.test(
  "in a folder that @fastify/autoload loads, the plugin passes over other plugins' options, and says so",
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'pylon-sse-'))
    t.teardown(() => rm(folder, { recursive: true }))
    // As apps have it: a file a plugin, each given the same object.
    await writeFile(
      join(folder, 'events.mjs'),
      `export default async (app, options) => app.register(globalThis.pylonSse, options)
     export const autoConfig = { maxClients: 5 }
     export const prefixOverride = ''`
    )
    Object.assign(globalThis, { pylonSse })
    t.teardown(() => Object.assign(globalThis, { pylonSse: undefined }))
    const lines: string[] = []
    const app = fastify({ logger: { level: 'info', stream: { write: (line: string) => void lines.push(line) } } })
    t.teardown(() => app.close())
    const options = { path: '/live', secret: 'of a session plugin', openapi: { info: { title: 'an API' } } }
    await app.register(autoload, { dir: folder, options })
    await app.ready()
    t.ok(app.hasRoute({ method: 'GET', url: '/live' }))
    const told = lines.filter((line) => line.includes('ignored: secret, openapi'))
    t.equal(told.length, 1)
    t.notOk(lines.join().includes('of a session plugin'), 'no value of them is logged')
    const second = fastify()
    t.teardown(() => second.close())
    second.register(autoload, { dir: folder, options: { maxClientsPerIP: 3 } })
    await t.rejects(async () => void (await second.ready()), { code: 'PYLON_SSE_ERR_INVALID_OPTION' })
  }
)

t.test('registering the plugin twice under one name or path fails, and says which option to set', async (t) => {
  const taken: [options: PylonSseOptions, message: string][] = [
    [
      {},
      "Option 'decorator' is 'sse', which the app has already; to register the plugin again, set another one, and another 'path'."
    ],
    [{ decorator: 'second' }, "Option 'path' is '/events', where the app has a route already; set another one."]
  ]
  for (const [options, message] of taken) {
    const code = 'PYLON_SSE_ERR_INVALID_OPTION'
    const app = fastify()
    await app.register(pylonSse)
    await t.rejects(async () => app.register(pylonSse, options), { code, message })
  }
})
