import t from 'tap'
import type { SseListener } from '../../lib/entries/testing/testing.js'
import { type Example, Program, startExamples } from '../kit/example.js'

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

t.test('auth-bearer/listen.js: a program logs in and listens', async (t) => {
  const listener = new Program(t, 'auth-bearer', { args: ['listen.js', `http://127.0.0.1:${bearer!.port}`] })
  t.ok(await listener.waitFor(/connected\n{"it":"2.*"}/))
})

t.test('each program ends on SIGTERM, with its streams', async (t) => {
  const readers = []
  for (const example of [publishing!, schemas!, snapshot!]) readers.push(await example.listen())
  t.equal(await program.stop(), 0)
  for (const reader of readers) await reader.end()
})
