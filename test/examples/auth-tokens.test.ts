import type { EventSource } from 'eventsource'
import t from 'tap'
import { PATIENCE } from '../kit/patience.js'
import type { Served } from '../kit/server.js'
import { ann, claims, forbidden, heard, refused, seconds, serveRecipe, tellEach, tokenOf } from '../kit/tokens.js'
import { asksFor } from '../kit/topics.js'
import { Watch } from '../kit/watch.js'

type Headers = Record<string, string>
const ways: [recipe: string, headersOf: (token: string) => Headers, wrongPlace: (token: string) => Headers][] = [
  ['auth-bearer', (token) => ({ authorization: `Bearer ${token}` }), (token) => ({ cookie: `token=${token}` })],
  ['auth-cookie', (token) => ({ cookie: `token=${token}` }), (token) => ({ authorization: `Bearer ${token}` })]
]

/** Connects with a token that ends soon, but not before the stream is open: the slower the machine, the later. */
async function connectBriefly(served: Served, headersOf: (token: string) => Headers) {
  for (const lifetime of [2, 5, 15]) {
    const exp = seconds() + lifetime
    const old = headersOf(tokenOf({ sub: 'ann', exp }))
    const reader = await served.connect({ ...asksFor('user.ann'), headers: old })
    if (reader.status !== 401) return { exp, old, reader }
  }
  throw new Error('each token was over before its stream opened')
}

for (const [recipe, headersOf, wrongPlace] of ways) {
  t.test(`${recipe}: a token opens the stream and the page, of the topics of its user alone`, async (t) => {
    const { served } = await serveRecipe(t, recipe)
    const headers = headersOf(ann())
    const reader = await served.connect({ ...asksFor('user.ann', 'orders.new', ...forbidden), headers })
    t.equal(reader.status, 200)
    tellEach(served, 'user.bob', 'user.ann', 'orders.new', 'orders.new.eu', 'orders', 'user.ann.x', 'bob')
    t.strictSame(await heard(served, reader), [['user.ann', 'orders.new']])
    const [client] = served.app.sse.clients
    t.strictSame(client!.state, { user: 'ann' })
    const page = await served.connect({ ...asksFor('user.ann'), headers: { ...headers, accept: 'application/json' } })
    t.equal(page.status, 200)
    for (const topic of forbidden) {
      const guess = await served.connect({ ...asksFor(topic), headers })
      t.equal(guess.status, 403, topic)
    }
  })

  t.test(`${recipe}: a request without a valid token gets 401 and nothing else`, async (t) => {
    const { served } = await serveRecipe(t, recipe)
    const requests: [string, Headers][] = [
      ['no token', {}],
      ['the token in another place', wrongPlace(ann())],
      ...Object.entries(refused).map(([what, token]): [string, Headers] => [what, headersOf(token())])
    ]
    for (const [what, headers] of requests) {
      for (const [method, accept] of [
        ['GET', 'text/event-stream'],
        ['GET', 'application/json'],
        ['HEAD', 'text/event-stream']
      ] as const) {
        const request = { ...asksFor('user.ann'), method, lastEventId: 'x-0', headers: { ...headers, accept } }
        const reader = await served.connect(request)
        t.equal(reader.status, 401, `${method} ${accept}: ${what}`)
        await reader.waitForEnd()
        if (method === 'GET') t.equal(JSON.parse(reader.body).statusCode, 401)
      }
    }
    t.match(served.app.sse.stats(), { accepted: 0, rejected: { forbiddenTopic: 0 } }, 'it is not even asked for topics')
  })

  t.test(`${recipe}: a user whose id is a pattern does not get topics of others`, async (t) => {
    const { served } = await serveRecipe(t, recipe)
    for (const [sub, topic] of [
      ['*', 'user.*'],
      ['*', 'user.bob'],
      ['**', 'user.**'],
      ['bob.*', 'user.bob.x']
    ] as const) {
      const thief = await served.connect({ ...asksFor(topic), headers: headersOf(tokenOf(claims(sub))) })
      t.equal(thief.status, 403, `${sub} asks for ${topic}`)
    }
  })

  t.test(`${recipe}: the stream ends when its token does, and resumes with a new one only`, async (t) => {
    const { served } = await serveRecipe(t, recipe)
    const { exp, old, reader } = await connectBriefly(served, headersOf)
    tellEach(served, 'user.ann')
    await reader.waitForEnd(exp * 1000 - Date.now() + PATIENCE)
    t.ok(Date.now() >= exp * 1000 - 5, 'not before')
    t.match(served.app.sse.stats(), { disconnects: { expired: 1 } })
    tellEach(served, 'user.bob', 'user.ann')
    const { lastEventId } = reader
    t.equal((await served.connect({ ...asksFor('user.ann'), headers: old, lastEventId })).status, 401)
    const again = await served.connect({ ...asksFor('user.ann'), headers: headersOf(ann()), lastEventId })
    t.strictSame(await heard(served, again), [['user.ann']])
    const bob = { ...asksFor('user.ann', 'user.bob'), headers: headersOf(tokenOf(claims('bob'))), lastEventId }
    t.strictSame(
      await heard(served, await served.connect(bob)),
      [['user.bob']],
      "another's place in the log gives nothing"
    )
  })
}

t.test(
  'auth-cookie: a login sets the cookie by which the stream opens, a logout ends the streams for good',
  async (t) => {
    const { served } = await serveRecipe(t, 'auth-cookie')
    const login = (name: string, password: unknown) =>
      fetch(`${served.url}/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name, password })
      })
    t.equal((await login('ann', 'demo-bob')).status, 401)
    t.equal((await login('nobody', 'demo-ann')).status, 401)
    t.equal((await login('ann', undefined)).status, 400)
    const cookies = async (name: string) => (await login(name, `demo-${name}`)).headers.getSetCookie()[0]!
    const set = await cookies('ann')
    t.match(set, /^token=.*; Path=\/; HttpOnly; Secure; SameSite=Strict$/)
    const cookie = set.split(';')[0]!
    const streams = [await served.connect({ headers: { cookie } }), await served.connect({ headers: { cookie } })]
    const other = await served.connect({ headers: { cookie: (await cookies('bob')).split(';')[0]! } })
    t.equal((await fetch(`${served.url}/logout`, { method: 'POST' })).status, 401, 'not by who is nobody')
    const logout = await fetch(`${served.url}/logout`, { method: 'POST', headers: { cookie } })
    t.equal(logout.status, 200)
    t.match(logout.headers.getSetCookie(), [/^token=; .*Expires=Thu, 01 Jan 1970/])
    for (const stream of streams) {
      await stream.waitForEnd()
      const { lastEventId } = stream
      t.equal((await served.connect({ lastEventId })).status, 401, 'the browser, whose cookie is gone')
      t.equal((await served.connect({ headers: { cookie }, lastEventId })).status, 204, 'a copy of the cookie')
    }
    t.strictSame(await heard(served, other), [[]], "and leaves another's")
  }
)

t.test(
  'auth-bearer/client.js: a client that renews its token goes on where it was, and gives up when it has none',
  async (t) => {
    const { recipes, served } = await serveRecipe(t, 'auth-bearer')
    const { listen } = await recipes.load<{ listen: Listen }>('client.js')
    type Listen = (url: string, getToken: () => Promise<string>) => EventSource
    const tokens = [ann(), ann(), 'none any more']
    const data: string[] = []
    const watch = new Watch(() => JSON.stringify(data))
    const source = listen(`${served.url}${asksFor('user.ann').path}`, async () => tokens.shift()!)
    t.teardown(() => source.close())
    for (const type of ['open', 'error']) source.addEventListener(type, () => watch.changed())
    source.onmessage = (message) => {
      data.push(message.data)
      watch.changed()
    }
    const close = () => served.app.sse.disconnect(() => true)
    await watch.until(() => source.readyState === 1 || undefined, 'it to open')
    tellEach(served, 'user.ann')
    await watch.until(() => data.length === 1 || undefined, 'an event')
    close()
    served.app.sse.broadcastMessage('meanwhile')
    await watch.until(() => data.length === 2 || undefined, 'what was missed')
    close()
    await watch.until(() => source.readyState === 2 || undefined, 'it to give up')
    t.strictSame(data, ['user.ann', 'meanwhile'])
    t.strictSame(tokens, [])
  }
)
