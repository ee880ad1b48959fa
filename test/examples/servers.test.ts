import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import type { SseListener } from '../../lib/entries/testing/testing.js'
import { Example, exampleFile, Program, readExample, startExamples } from '../kit/example.js'
import { startNats } from '../kit/nats-server.js'
import { startNginx } from '../kit/nginx.js'
import { freePort, startRedis } from '../kit/redis-server.js'

// Processes and pages take long to start on a busy machine.
t.setTimeout(300_000)

const TOKEN = 'a token of the test'
const SECRET = 'a secret of the test, long enough for HS256'

const {
  examples: [publishing, schemas, shared, snapshot, topics, cookie, bearer, ticket, chat, prices, job, htmx, turbo],
  program
} = await startExamples(
  t,
  ['publishing/server.js', { PUBLISH_TOKEN: TOKEN }],
  ['schemas/server.js'],
  ['schemas/shared.js'],
  ['snapshot/server.js'],
  ['topics/server.js'],
  ['auth-cookie/server.js', { JWT_SECRET: SECRET }],
  ['auth-bearer/server.js', { JWT_SECRET: SECRET }],
  ['auth-ticket/server.js', { JWT_SECRET: SECRET }],
  ['chat/server.js'],
  ['prices/server.js'],
  ['job/server.js', { STEP: '10' }],
  ['htmx/server.js'],
  ['turbo/server.js']
)

t.test('publishing: an event published with the token reaches its topic, once for an idempotency key', async (t) => {
  const reader = await publishing!.listen('/events', { topics: ['orders.42'] })
  const body = { data: { id: 42 }, event: 'order.paid', topic: 'orders.42' }
  for (const authorization of [undefined, 'Bearer', 'Bearer undefined', `Bearer ${TOKEN}!`, TOKEN]) {
    const headers = authorization === undefined ? {} : { authorization }
    t.equal((await publishing!.call('POST', '/events', body, headers)).status, 401, authorization ?? 'no token')
  }
  const headers = { authorization: `Bearer ${TOKEN}`, 'idempotency-key': 'order-42-paid' }
  const first = await publishing!.call('POST', '/events', body, headers)
  t.equal(first.status, 202)
  const { ids } = (await first.json()) as { ids: string[] }
  t.strictSame(await publishing!.json('POST', '/events', body, headers), { ids })
  t.match(await reader.next('order.paid'), { id: ids[0], data: { id: 42 }, topic: 'orders.42' })
  const page = await publishing!.json('GET', '/events?topic=orders.42', undefined, { accept: 'application/json' })
  t.match(page, { events: [{ id: ids[0] }], hasMore: false })
  t.equal((page as { events: unknown[] }).events.length, 1)
})

t.test('schemas: what a schema does not name is not sent, and the API description has the event', async (t) => {
  const reader = await schemas!.listen()
  await schemas!.call('POST', '/todos', { title: 'Write' })
  t.strictSame((await reader.next('todo.created')).data, { id: 1, title: 'Write', due: null })
  for (const example of [schemas!, shared!]) {
    const text = await (await example.call('GET', '/openapi.json')).text()
    t.match(text, '"/events"')
    t.match(text, 'todo.created')
  }
  t.match(await (await shared!.call('GET', '/openapi.json')).text(), 'Log in first.')
})

t.test('snapshot: a client gets the state, and then every change', async (t) => {
  await snapshot!.call('PUT', '/tasks/1', { title: 'Write' })
  const reader = await snapshot!.listen()
  t.strictSame((await reader.next('snapshot')).data, [{ title: 'Write', id: '1' }])
  await snapshot!.call('PUT', '/tasks/2', { title: 'Read' })
  t.strictSame((await reader.next('task')).data, { title: 'Read', id: '2' })
  t.match(await (await snapshot!.call('GET', '/')).text(), "addEventListener('snapshot'")
})

t.test(
  'topics: a user hears the topics of their own and of their teams, and not what they say themselves',
  async (t) => {
    const [ann, bob] = [await login(topics!, 'ann'), await login(topics!, 'bob')]
    t.equal((await topics!.listen()).response.status, 401)
    t.equal((await topics!.listen('/events', { headers: { cookie: 'token=none' } })).response.status, 401)
    t.equal((await topics!.listen('/events', { topics: ['user.bob'], headers: ann })).response.status, 403)
    const readers: { reader: SseListener; id: string }[] = []
    for (const headers of [ann, bob]) {
      const reader = await topics!.listen('/events', { topics: ['news', 'orders.42'], headers })
      readers.push({ reader, id: (await reader.connected()).client })
    }
    const [anns, bobs] = readers
    const heard = async ({ reader }: (typeof readers)[number]) => {
      const { event, data } = await reader.until(({ event }) => event === 'said' || event === 'order')
      return [event, data]
    }
    await topics!.call('POST', '/say', { text: 'hello' }, { ...ann, 'x-client-id': anns!.id })
    await topics!.call('POST', '/orders/42', { total: 7 }, ann)
    t.strictSame(await heard(bobs!), ['said', { text: 'hello' }])
    for (const each of readers)
      t.strictSame(await heard(each), ['order', { id: '42', total: 7 }], 'not what she has said')

    t.equal((await topics!.call('POST', '/teams/red', { text: 'red' }, bob)).status, 403)
    t.equal((await topics!.call('DELETE', '/teams/blue/members/ann', undefined, bob)).status, 403)
    await topics!.call('POST', '/teams/red', { text: 'red' }, ann)
    await topics!.call('POST', '/teams/blue', { text: 'blue' }, ann)
    t.strictSame(await heard(anns!), ['said', { from: 'ann', text: 'red' }])
    t.strictSame(await heard(anns!), ['said', { from: 'ann', text: 'blue' }])
    t.strictSame(await heard(bobs!), ['said', { from: 'ann', text: 'blue' }])
    t.equal((await topics!.call('DELETE', '/teams/blue/members/ann', undefined, ann)).status, 200)
    await topics!.call('POST', '/teams/blue', { text: 'without ann' }, bob)
    await topics!.call('POST', '/say', { text: 'last' }, bob)
    t.strictSame(await heard(anns!), ['said', { text: 'last' }])
    t.strictSame(await heard(bobs!), ['said', { from: 'bob', text: 'without ann' }])

    await topics!.call('POST', '/logout', undefined, ann)
    await anns!.reader.next('stay-away')
    await anns!.reader.end()
  }
)

async function login(example: Example, name: string) {
  const answer = await example.call('POST', '/login', { name })
  return { cookie: answer.headers.getSetCookie()[0]!.split(';')[0]! }
}

t.test('chat: a newcomer gets past and new messages, and everybody sees who is online', async (t) => {
  const [ann, bob] = [await login(chat!, 'ann'), await login(chat!, 'bob')]
  t.equal((await chat!.listen()).response.status, 401)
  t.equal((await chat!.call('POST', '/messages', { text: 'hello' })).status, 401)
  t.equal((await chat!.call('POST', '/messages', { text: '' }, ann)).status, 400)
  const anns = await chat!.listen('/events', { headers: ann })
  const names = (...wanted: string[]) =>
    anns.until(({ event, data }) => event === 'names' && JSON.stringify(data) === JSON.stringify(wanted))
  await names('ann')
  const said = await chat!.json('POST', '/messages', { text: 'hello' }, ann)
  t.match(said, { from: 'ann', text: 'hello' })
  const bobs = await chat!.listen('/events', { headers: bob })
  t.strictSame((await bobs.next('messages')).data, [said])
  await names('ann', 'bob')
  const answer = await chat!.json('POST', '/messages', { text: 'hello, ann' }, bob)
  for (const reader of [anns, bobs]) {
    await reader.until(({ event, data }) => event === 'said' && JSON.stringify(data) === JSON.stringify(answer))
  }
  await bobs.close()
  await names('ann')
})

t.test('prices: a client gets the symbols that it asks for, from the current price on', async (t) => {
  const reader = await prices!.listen('/events', { topics: ['price.ACME', 'price.INIT'] })
  const heard = (await reader.take(8)).filter(({ event }) => event === 'price').map(({ data }) => data)
  t.strictSame(new Set(heard.map(({ symbol }) => symbol)), new Set(['ACME', 'INIT']))
  t.ok(heard.every(({ price }) => price > 0))
  t.match(await prices!.json('GET', '/prices'), [{ symbol: 'ACME' }, { symbol: 'INIT' }, { symbol: 'HOOLI' }])
})

t.test('job: only its user gets the progress of a job, also after its end', async (t) => {
  const [ann, bob] = [await login(job!, 'ann'), await login(job!, 'bob')]
  t.equal((await job!.call('POST', '/jobs')).status, 401)
  const { id } = await job!.json<{ id: string }>('POST', '/jobs', undefined, ann)
  const topics = [`job.${id}`]
  t.equal((await job!.listen('/events', { topics, headers: bob })).response.status, 403)
  t.equal((await job!.listen('/events', { topics: ['job.*'], headers: ann })).response.status, 403)
  for (const when of ['while it works', 'when it is done']) {
    const reader = await job!.listen('/events', { topics, headers: ann })
    const { data } = await reader.until(({ event, data }) => event === 'job' && data.result)
    t.strictSame(data, { percent: 100, result: `/results/${id}` }, when)
  }
})

t.test('htmx and turbo: messages arrive as HTML, in which scripts are escaped', async (t) => {
  for (const example of [htmx!, turbo!]) {
    const reader = await example.listen()
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const body = new URLSearchParams({ text: '<b title="x">&</b>' })
    t.equal((await fetch(`${example.url}/say`, { method: 'POST', headers, body })).status, 204)
    const { data } = await reader.next('message')
    t.match(data, '<li>&lt;b title=&quot;x&quot;&gt;&amp;&lt;/b&gt;</li>')
  }
})

t.test('fastify-cli/: a plugin adds the stream, and routes broadcast to it', async (t) => {
  const cli = createRequire(import.meta.url).resolve('fastify-cli/cli.js')
  const args = [cli, 'start', '--port', '0', '--log-level', 'info', 'app.js']
  const started = new Program(t, 'fastify-cli', { args })
  const [, port] = await started.waitFor(/listening at http:\/\/\S+:(\d+)/)
  const example = new Example(t, Number(port))
  const reader = await example.listen()
  t.strictSame(await example.json('POST', '/say', { hello: 'everyone' }), { clients: 1 })
  t.strictSame((await reader.next('message')).data, { hello: 'everyone' })
  await Promise.all([started.stop(), reader.end()])
})

t.test('auth-cookie, auth-bearer and auth-ticket: users who have logged in get their own events', async (t) => {
  const right = { name: 'ann', password: 'demo-ann' }
  const itIs = { it: /^2/ }
  for (const example of [cookie!, bearer!, ticket!]) {
    t.equal((await example.call('POST', '/login', { ...right, password: 'wrong' })).status, 401)
    t.equal((await example.listen()).response.status, 401)
  }
  const topics = ['user.ann']

  const set = (await cookie!.call('POST', '/login', right)).headers.getSetCookie()[0]!
  const byCookie = await cookie!.listen('/events', { topics, headers: { cookie: set.split(';')[0]! } })
  t.match(await byCookie.next('message'), { data: itIs })

  const { token } = await bearer!.json<{ token: string }>('POST', '/login', right)
  const byToken = await bearer!.listen('/events', { topics, headers: { authorization: `Bearer ${token}` } })
  t.match(await byToken.next('message'), { data: itIs })

  const own = await ticket!.json<{ token: string }>('POST', '/login', right)
  const headers = { authorization: `Bearer ${own.token}` }
  const bought = await ticket!.json<{ ticket: string }>('POST', '/ticket', undefined, headers)
  const byTicket = await ticket!.listen('/events', { topics, query: { ticket: bought.ticket } })
  t.match(await byTicket.next('message'), { data: itIs })
  t.match(await (await ticket!.call('GET', '/live.js')).text(), 'export function live')
  t.match(await (await ticket!.call('GET', '/')).text(), "from '/live.js'")
  t.match(await (await cookie!.call('GET', '/')).text(), 'new EventSource')
  t.notMatch(program.output, bought.ticket, 'which no log has')
})

/** An event that is published by the first is heard at the second, and clients resume there. */
async function share(t: Test, [one, other]: Example[]) {
  for (const example of [one!, other!]) t.equal((await example.call('GET', '/ready')).status, 204)
  const reader = await other!.listen()
  const { id } = await one!.json<{ id: string }>('POST', '/say', { hello: 'everyone' })
  t.match(await reader.next('message'), { id, data: { hello: 'everyone' } })
  const next = await other!.json<{ id: string }>('POST', '/say', { hello: 'again' })
  const resumed = await one!.listen('/events', { lastEventId: id })
  t.match(await resumed.next('message'), { id: next.id, data: { hello: 'again' } })
  return reader
}

t.test('several-processes/ and proxies/: two processes share a log, through nginx, too', async (t) => {
  const [redis, nats] = [await startRedis(t), await startNats(t)]
  if (redis === undefined || nats === undefined) return
  const start = () =>
    startExamples(
      t,
      ['several-processes/server.js', { REDIS_URL: redis.url }],
      ['several-processes/nats.js', { NATS_URL: nats.servers }]
    )
  const processes = [await start(), await start()]
  const [byRedis, byNats] = [0, 1].map((index) => processes.map(({ examples }) => examples[index]!))
  await share(t, byNats!)
  await share(t, byRedis!)

  const [one, other] = byRedis!
  const sites = {
    'nginx.conf': { 3000: one!.port },
    'nginx-several.conf': { 3001: one!.port, 3002: other!.port, 3003: await freePort() }
  }
  for (const [file, ports] of Object.entries(sites)) {
    const port = await startNginx(t, await readExample(`proxies/${file}`), ports)
    if (port === undefined) return
    const proxied = new Example(t, port)
    const readers = [await proxied.listen(), await proxied.listen(), await proxied.listen()]
    const served = new Set(readers.map(({ response }) => response.headers.get('x-served-by')))
    t.equal(served.size, file === 'nginx.conf' ? 1 : 2, `${file}: by which processes`)
    await proxied.call('POST', '/say', { through: file })
    for (const reader of readers) {
      t.strictSame((await reader.next('message')).data, { through: file })
    }
  }

  const site = await readExample('docker/nginx.conf')
  const inside = await startNginx(t, site.replace('app:3000', `127.0.0.1:${one!.port}`), {})
  const contained = await new Example(t, inside!).listen()
  t.equal(contained.response.headers.get('x-served-by'), `${processes[0]!.program.pid}`)
})

t.test('docker/: its files name files that exist, and their commands run', async (t) => {
  const { services, volumes } = parse(await readExample('docker/compose.yaml'))
  const lines = (await readExample('docker/Dockerfile')).replace(/\\\n\s*/g, '').split('\n')
  const argumentsOf = (instruction: string) =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1))
  // The first two are made by npm, which the page says.
  const copied = argumentsOf('COPY').flatMap((line) => line.split(' ').slice(0, -1))
  t.strictSame(copied, ['package.json', 'package-lock.json', 'server.js'])
  t.equal(argumentsOf('USER')[0], 'node')
  t.strictSame(services.app.build, '.')
  for (const { depends_on = {} } of Object.values<{ depends_on?: object }>(services)) {
    const names = Array.isArray(depends_on) ? depends_on : Object.keys(depends_on)
    for (const name of names) t.ok(name in services, name)
  }
  for (const [path] of services.nginx.volumes.map((volume: string) => volume.split(':'))) {
    t.ok(await readExample(`docker/${path}`))
  }
  t.ok(services.redis.volumes.every((volume: string) => volume.split(':')[0]! in volumes))

  const redis = await startRedis(t)
  if (redis === undefined) return
  const { environment } = services.app
  t.equal(environment.REDIS_URL, 'redis://redis:6379')
  const env = { ...environment, REDIS_URL: redis.url }
  const [command, ...args]: string[] = JSON.parse(argumentsOf('CMD')[0]!)
  t.equal(command, 'node')
  const server = new Program(t, 'several-processes', { args, env })
  const [, port] = await server.waitFor(/http:\/\/\S+:(\d+)/)
  const [, check] = /CMD (\[.*\])$/.exec(argumentsOf('HEALTHCHECK')[0]!)!
  const checking = () => JSON.parse(check!.replace(':3000', `:${port}`)).slice(1) as string[]
  t.equal(await new Program(t, '.', { args: checking() }).waitForExit(), 0, 'it is healthy')
  const example = new Example(t, Number(port))
  const reader = await example.listen()
  await server.stop()
  await reader.end()
  t.equal(await new Program(t, '.', { args: checking() }).waitForExit(), 1, 'it is not')
})

t.test('auth-bearer/listen.js: a program logs in and listens', async (t) => {
  const listener = new Program(t, 'auth-bearer', { args: ['listen.js', `http://127.0.0.1:${bearer!.port}`] })
  t.ok(await listener.waitFor(/connected\n{"it":"2.*"}/))
})

t.test('a program does not start without the secret that it needs', async (t) => {
  const secretive = [
    ['publishing/server.js', 'PUBLISH_TOKEN'],
    ['auth-cookie/server.js', 'JWT_SECRET'],
    ['auth-bearer/server.js', 'JWT_SECRET'],
    ['auth-ticket/server.js', 'JWT_SECRET']
  ] as const
  const code = `for (const url of process.argv.slice(1)) await import(url).then(() => console.log('started'), console.log)`
  const urls = secretive.map(([file]) => pathToFileURL(exampleFile(file)).href)
  const env = { PUBLISH_TOKEN: '', JWT_SECRET: 'short' }
  const started = new Program(t, '.', { args: ['--input-type=module', '--eval', code, '--', ...urls], env })
  for (const [, name] of secretive) await started.waitFor(new RegExp(`Error: ${name} must be`))
  t.equal(await started.waitForExit(), 0)
  t.notMatch(started.output, 'started')
})

t.test('each program ends on SIGTERM, with its streams', async (t) => {
  const readers = []
  for (const example of [publishing!, schemas!, snapshot!]) readers.push(await example.listen())
  t.equal(await program.stop(), 0)
  for (const reader of readers) await reader.end()
})
