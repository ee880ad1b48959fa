import fastifyCors, { type FastifyCorsOptions, type FastifyCorsOptionsDelegate } from '@fastify/cors'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import pylonSse, { type PylonSseOptions } from '../../lib/index.js'
import { launchChromium } from '../kit/chromium.js'
import { type Served, serve } from '../kit/server.js'

type Policy = FastifyCorsOptions | FastifyCorsOptionsDelegate

const FRIEND = 'https://friend.example'
const STRANGER = 'https://stranger.example'

const preflightOf = (origin: string) => ({
  method: 'OPTIONS',
  headers: { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' }
})

/** What a browser may ask of a path, and servers answer by their policy. */
const REQUESTS = {
  'the stream, by a friend': { headers: { origin: FRIEND } },
  'the stream, by a stranger': { headers: { origin: STRANGER } },
  'the stream, by a page of its own': {},
  'the head, by a friend': { method: 'HEAD', headers: { origin: FRIEND } },
  'a preflight, by a friend': preflightOf(FRIEND),
  'a preflight, by a stranger': preflightOf(STRANGER),
  'a preflight that is none': { method: 'OPTIONS', headers: { origin: FRIEND } }
}
type Answers = Record<keyof typeof REQUESTS, { status: number; headers: Record<string, string[]> }>

/** Status and headers of CORS in the answers to REQUESTS. */
async function answersOf(s: Served, path = '/events'): Promise<Answers> {
  const answers = Object.entries(REQUESTS).map(async ([what, request]) => {
    const client = await s.connect({ ...request, path })
    const headers: Record<string, string[]> = {}
    for (const [name, value] of client.rawHeaders) {
      const key = name.toLowerCase()
      const isOfCors = key.startsWith('access-control-') || key === 'vary'
      // As lists, so that a value that came twice is here twice.
      if (isOfCors) headers[key] = [...(headers[key] ?? []), ...value.split(/, */)]
    }
    await client.close()
    return [what, { status: client.status, headers }]
  })
  return Object.fromEntries(await Promise.all(answers)) as Answers
}

/** What an ordinary route answers where the app has registered @fastify/cors with a policy, or none at all. */
async function answersOfPlainRoute(t: Test, policy?: Policy): Promise<Answers> {
  const s = await serve(t, { sse: false, setup: (app) => addCorsAndPlainRoute(app, policy) })
  return answersOf(s, '/plain')
}

async function addCorsAndPlainRoute(app: FastifyInstance, policy?: Policy): Promise<void> {
  if (policy !== undefined) await app.register(fastifyCors, () => policy)
  app.get('/plain', async () => 'plain')
}

/** Of the app, where it has registered @fastify/cors for itself: in every way unlike the policies of the stream. */
const APP_POLICIES: Record<string, Policy> = {
  'a list': {
    origin: ['https://app.example', FRIEND],
    credentials: true,
    exposedHeaders: ['x-app'],
    allowedHeaders: ['x-app'],
    methods: ['PUT'],
    maxAge: 5,
    cacheControl: 6,
    optionsSuccessStatus: 200,
    strictPreflight: false
  },
  'a function': { origin: (origin, decide) => decide(null, origin === FRIEND), credentials: true },
  'no one, and no preflight': { origin: false, preflight: false },
  'preflights left to routes': { origin: 'https://app.example', preflightContinue: true, hook: 'preValidation' },
  'a delegate': (_request, decide) => decide(null, { origin: 'https://app.example', credentials: true }),
  'a promised delegate': async () => ({ origin: [FRIEND], exposedHeaders: 'x-app' })
}

/** An app with a policy of its own, or none, registered before or after the stream. */
async function* apps(t: Test, sse: PylonSseOptions, names = Object.keys(APP_POLICIES)) {
  yield { app: 'the app has none', s: await serve(t, { sse, setup: (app) => addCorsAndPlainRoute(app) }) }
  for (const name of names) {
    const policy = APP_POLICIES[name]!
    const before = await serve(t, { sse, setup: (app) => addCorsAndPlainRoute(app, policy) })
    yield { app: `the app has ${name}, registered before`, s: before, policy }
    const setup = async (app: FastifyInstance) => {
      await app.register(pylonSse, sse)
      await addCorsAndPlainRoute(app, policy)
    }
    yield { app: `the app has ${name}, registered after`, s: await serve(t, { sse: false, setup }), policy }
  }
}

t.test('a page of any origin may read the stream, with an Authorization header too', async (t) => {
  const answers = await answersOf(await serve(t))
  const any = { 'access-control-allow-origin': ['*'] }
  for (const what of ['the stream, by a friend', 'the stream, by a stranger', 'the head, by a friend'] as const) {
    t.strictSame(answers[what], { status: 200, headers: any }, what)
  }
  for (const what of ['a preflight, by a friend', 'a preflight, by a stranger'] as const) {
    const { status, headers } = answers[what]
    t.equal(status, 204, what)
    t.match(headers, { ...any, 'access-control-allow-headers': ['authorization'] })
    t.ok(headers['access-control-allow-methods']?.includes('GET'))
  }
})

t.test("the stream has a CORS policy of its own, and the app's other routes keep theirs", async (t) => {
  const stream = await answersOfPlainRoute(t, { origin: '*' })
  for await (const { app, s, policy } of apps(t, {})) {
    t.strictSame(await answersOf(s), stream, app)
    t.strictSame(await answersOf(s, '/plain'), await answersOfPlainRoute(t, policy), `${app}: its other route`)
  }
})

t.test('cors: false leaves CORS to the app', async (t) => {
  for await (const { app, s, policy } of apps(t, { cors: false })) {
    t.strictSame(await answersOf(s), await answersOfPlainRoute(t, policy), app)
  }
})

t.test('every policy of @fastify/cors is one of the stream, whatever that of the app', async (t) => {
  const policies: Record<string, Policy> = {
    'a list, with credentials': { origin: [FRIEND, /\.trusted\.example$/], credentials: true },
    'one origin': { origin: FRIEND },
    'who asks': { origin: true, exposedHeaders: ['x-a', 'x-b'], maxAge: 60, cacheControl: 60 },
    'a function': { origin: (origin, decide) => decide(null, origin === FRIEND) },
    'a function that promises': { origin: async (origin: string | undefined) => origin === FRIEND && FRIEND },
    'a function that fails': { origin: (_origin, decide) => decide(new Error('no'), false) },
    'no one': { origin: false },
    'a late hook': { origin: FRIEND, hook: 'preHandler' },
    'other preflights': { origin: '*', optionsSuccessStatus: 200, allowedHeaders: 'x-a', methods: 'GET' },
    'a delegate': (request, decide) => decide(null, { origin: request.headers.origin === FRIEND ? FRIEND : false }),
    'a promised delegate': async ({ method }: FastifyRequest) => ({ origin: [FRIEND], credentials: method === 'GET' }),
    'a delegate with a hook': { delegator: async () => ({ origin: FRIEND }), hook: 'preValidation' }
  }
  for (const [name, cors] of Object.entries(policies)) {
    const expected = await answersOfPlainRoute(t, cors)
    for await (const { app, s } of apps(t, { cors }, ['a list', 'a delegate'])) {
      t.strictSame(await answersOf(s), expected, `${name}, where ${app}`)
    }
  }
})

t.test('the response varies by origin only if it does, and says so once', async (t) => {
  const setup = async (app: FastifyInstance) => {
    await app.register(fastifyCors, { origin: [FRIEND] })
    app.addHook('onRequest', async (request, reply) => {
      if (request.headers['x-vary']) reply.header('vary', request.headers['x-vary'])
    })
  }
  const cases: [sse: PylonSseOptions, vary: string | undefined, expected: string | null][] = [
    [{}, undefined, null],
    [{ cors: { origin: FRIEND } }, undefined, null],
    [{ cors: { origin: [FRIEND] } }, undefined, 'Origin'],
    [{ cors: { origin: [FRIEND] } }, 'Cookie', 'Cookie, Origin'],
    [{ cors: { origin: [FRIEND] } }, 'origin', 'origin'],
    [{ cors: async () => ({ origin: [FRIEND] }) }, 'Cookie', 'Cookie, Origin'],
    [{ cors: false }, undefined, 'Origin']
  ]
  for (const [sse, vary, expected] of cases) {
    const s = await serve(t, { sse, setup })
    const client = await s.connect({ headers: { origin: FRIEND, 'x-vary': vary } })
    t.equal(client.headers.get('vary'), expected, JSON.stringify([sse, vary]))
  }
})

t.test('a page of another origin may read why it was refused', async (t) => {
  const refusals: Record<string, { sse: PylonSseOptions; headers?: Record<string, string>; status: number }> = {
    "the route's onRequest": {
      sse: { route: { onRequest: async (_request, reply) => reply.code(401).send({ why: 'who?' }) } },
      status: 401
    },
    "the route's onRequest, thrown": {
      sse: {
        route: {
          onRequest: [
            async () => {
              throw Object.assign(new Error('who?'), { statusCode: 403 })
            }
          ]
        }
      },
      status: 403
    },
    'its schema': {
      sse: { route: { schema: { querystring: { type: 'object', required: ['room'] } } } },
      status: 400
    },
    'what it accepts': { sse: {}, headers: { accept: 'text/html' }, status: 406 }
  }
  for (const [what, { sse, headers, status }] of Object.entries(refusals)) {
    for (const setup of [undefined, (app: FastifyInstance) => app.register(fastifyCors, { origin: false })]) {
      const s = await serve(t, {
        sse: { ...sse, cors: { origin: [FRIEND], credentials: true } },
        ...(setup && { setup })
      })
      const client = await s.connect({ headers: { ...headers, origin: FRIEND } })
      t.equal(client.status, status, what)
      t.equal(client.headers.get('access-control-allow-origin'), FRIEND, what)
      t.equal(client.headers.get('access-control-allow-credentials'), 'true', what)
      t.equal(client.headers.get('vary'), 'Origin', what)
      if (status === 406) continue
      const preflight = await s.connect(preflightOf(FRIEND))
      t.equal(preflight.status, 204, `${what}: a preflight has no credentials and no query, and needs none`)
    }
  }
})

t.test(
  "an app's authentication, added after the plugin, refuses no preflight, and says so to other origins",
  async (t) => {
    const setup = async (app: FastifyInstance) => {
      await app.register(pylonSse)
      app.addHook('onRequest', async ({ headers }) => {
        if (headers.authorization === undefined) throw Object.assign(new Error('who?'), { statusCode: 401 })
      })
    }
    const s = await serve(t, { sse: false, setup })
    t.equal((await s.connect(preflightOf(FRIEND))).status, 204)
    const refused = await s.connect({ headers: { origin: FRIEND } })
    t.equal(refused.status, 401)
    t.equal(refused.headers.get('access-control-allow-origin'), '*')
    const welcome = await s.connect({ headers: { origin: FRIEND, authorization: 'Bearer token' } })
    t.equal(welcome.status, 200)
  }
)

t.test('a browser lets pages read the stream, or not, as the CORS policy says', async (t) => {
  const browser = await launchChromium(t)
  if (!browser) return
  const pages = await serve(t, {
    sse: false,
    setup: (app) =>
      app.get('/', (_request, reply) => reply.type('text/html').send('<!doctype html><title>a page</title>'))
  })
  const s = await serve(t, {
    sse: {
      onConnect: (client, { headers }) =>
        void client.send({ authorization: headers.authorization, cookie: headers.cookie }),
      route: {
        onRequest: async (request) => {
          const isFetch =
            request.headers['sec-fetch-mode'] === 'cors' && !request.headers.accept?.includes('event-stream')
          if (isFetch && request.headers.authorization !== 'Bearer token') {
            throw Object.assign(new Error('who?'), { statusCode: 401 })
          }
        }
      }
    },
    setup: (app) =>
      app.register(pylonSse, {
        path: '/friends',
        decorator: 'friends',
        cors: { origin: [pages.url], credentials: true },
        onConnect: (client, { headers }) => void client.send({ cookie: headers.cookie })
      })
  })
  const page = await browser.newPage()
  await page.goto(pages.url)
  const fetched = (headers: Record<string, string>) =>
    page.evaluate(
      async ([url, headers]) => {
        const response = await fetch(url, { headers })
        if (!response.ok)
          return { status: response.status, text: ((await response.json()) as { message: string }).message }
        const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
        let text = ''
        // The greeting, and what it is sent.
        while (text.split('data:').length < 3) text += (await reader.read()).value
        await reader.cancel()
        return { status: response.status, text }
      },
      [`${s.url}/events`, headers] as const
    )
  const heard = (path: string, withCredentials: boolean) =>
    page.evaluate(
      ([url, withCredentials]) =>
        new Promise<string>((resolve) => {
          const source = new EventSource(url, { withCredentials })
          const done = (what: string) => {
            source.close()
            resolve(what)
          }
          source.onmessage = ({ data }) => done(data)
          source.onerror = () => done('refused')
        }),
      [s.url + path, withCredentials] as const
    )
  t.match(await fetched({ authorization: 'Bearer token' }), { status: 200, text: /"Bearer token"/ })
  t.strictSame(await fetched({}), { status: 401, text: 'who?' })
  await page.context().addCookies([{ name: 'session', value: 'mine', url: s.url }])
  t.equal(await heard('/events', false), '{}')
  t.equal(await heard('/events', true), 'refused', "'*' lets nobody in with credentials")
  t.equal(await heard('/friends', true), '{"cookie":"session=mine"}')
  await page.goto(pages.url.replace('127.0.0.1', 'localhost'))
  t.equal(await heard('/friends', false), 'refused', 'a page that is not in the list')
  t.equal(await heard('/events', false), '{}')
})
