import t from 'tap'
import { foreignOptions } from '../../lib/api/input/option-checks.js'
import type { PylonSseOptions, ResolvedOptions } from '../../lib/api/options.js'
import { memoryBackplane } from '../../lib/backplane/memory.js'
import { DEFAULTS, MAX_DELAY, NAMES, resolve } from '../kit/resolved-options.js'

/** What follows from whether an option was given. */
const DERIVED: ResolvedOptions = { ...DEFAULTS, allowsOrigins: false }

t.test('without options the defaults hold', async (t) => {
  t.strictSame(resolve({}), DERIVED)
})

t.test('an option that is undefined has its default', async (t) => {
  t.strictSame(resolve(Object.fromEntries(NAMES.map((name) => [name, undefined]))), DERIVED)
})

t.test('an option that is given replaces its default and no other', async (t) => {
  const callback = () => {}
  const delegate = () => ({ origin: 'https://example.com' })
  const given: Record<keyof PylonSseOptions, unknown[]> = {
    path: ['/', '/live/events', '/:room/events', false],
    decorator: ['live'],
    shards: [1, 65_536],
    queueDepth: [1, 1_000_000],
    overflow: ['drop-oldest', 'disconnect'],
    history: [{ events: 1, bytes: 1 }],
    keepAliveInterval: [1, MAX_DELAY],
    keepAlive: ['comment', 'event'],
    retry: [0, 1, MAX_DELAY],
    maxClientsPerIp: [1, 1_000_000, Number.POSITIVE_INFINITY],
    limitBy: [callback],
    maxClients: [1, 1_000_000],
    overLimit: ['status', 'retry'],
    maxConnectionAge: [1, MAX_DELAY],
    authorizeTopics: [callback, async () => true],
    maxTopics: [1, 1_000_000],
    maxTopicBytes: [1, 1_000_000],
    publish: [false, {}, { bodyLimit: 1000, preHandler: callback }],
    events: [{}, { 'todo.created': { type: 'object' } }],
    maxEventBytes: [1, 1_000_000_000],
    compress: [true, false],
    stallTimeout: [1, MAX_DELAY],
    cors: [{}, { origin: true, credentials: true }, delegate, false],
    route: [{ logLevel: 'warn', config: { a: 1 } }, { onRequest: callback }],
    onConnect: [callback, async () => {}],
    onDisconnect: [callback],
    serialize: [String],
    runs: [{ max: 1, bytes: 1, silence: 100 }],
    backplane: [memoryBackplane()]
  }
  t.strictSame(Object.keys(given), NAMES)
  for (const name of NAMES) {
    const derived = { ...DERIVED, allowsOrigins: name === 'cors' }
    for (const value of given[name]) t.strictSame(resolve({ [name]: value }), { ...derived, [name]: value }, name)
  }
})

t.test('history is none when it is false, and each of its bounds has a default', async (t) => {
  const { events, bytes } = DEFAULTS.history
  const histories: [given: PylonSseOptions['history'], history: ResolvedOptions['history']][] = [
    // Slow clients catch up on what the bytes allow, although nobody may replay.
    [false, { events: 0, bytes }],
    [{}, { events, bytes }],
    [{ events: 5 }, { events: 5, bytes }],
    [{ bytes: 5 }, { events, bytes: 5 }]
  ]
  for (const [history, resolved] of histories) t.strictSame(resolve({ history }).history, resolved)
  t.strictSame(resolve({ history: { events: undefined, bytes: undefined } }).history, DEFAULTS.history)
})

t.test('false is no limit of clients per address', async (t) => {
  t.equal(resolve({ maxClientsPerIp: false }).maxClientsPerIp, Number.POSITIVE_INFINITY)
})

t.test('an interval, timeout or age of 0 stands for never', async (t) => {
  for (const name of ['keepAliveInterval', 'stallTimeout', 'maxConnectionAge'] as const) {
    t.strictSame(resolve({ [name]: 0 }), { ...DERIVED, [name]: Number.POSITIVE_INFINITY }, name)
  }
})

t.test('options of register itself are accepted', async (t) => {
  t.strictSame(resolve({ prefix: '/v1', logLevel: 'warn', logSerializers: {} }), DERIVED)
})

t.test("the route's own CORS configuration is accepted only with cors: false", async (t) => {
  const route = { config: { cors: { origin: 'https://example.com' } } }
  t.strictSame(resolve({ route, cors: false }), { ...DERIVED, route, cors: false, allowsOrigins: true })
  for (const cors of [undefined, { origin: true }, () => ({})]) {
    t.throws(() => resolve({ route, cors }), {
      code: 'PYLON_SSE_ERR_INVALID_OPTION',
      message: "Option 'route.config.cors' cannot be set; use the plugin's option 'cors' instead."
    })
  }
})

t.test(
  "other plugins' options are ignored, as they come in one object where a folder of plugins is loaded",
  async (t) => {
    /** Of the official plugins; each is as some app has it. */
    const others =
      'prefixes secret hook parseOptions root list serve wildcard index redirect limits attachFieldsToBody addToBody ' +
      'throwFileSizeLimit encodings threshold zlibOptions global max timeWindow ban cache allowList keyGenerator redis ' +
      'nameSpace origin methods allowedHeaders credentials maxAge preflight contentSecurityPolicy hsts sign verify ' +
      'namespace engine templates layout openapi swagger transform uiConfig routePrefix staticCSP logo host url client ' +
      'pool connectionString upstream http2 undici proxyPayloads websocket clientTracking errorHandler cookie cookieName ' +
      'store saveUninitialized maxEventLoopDelay healthCheck exposeStatusRoute retryAfter graphiql schema resolvers ' +
      'endpoint defaultMetrics routeMetrics clearRegisterOnInit defaultStoreValues validate authenticate sessionPlugin ' +
      'getToken csrfOpts dir dirNameRoutePrefix ignorePattern options forceESM database type mode toString'
    const options = Object.fromEntries(others.split(' ').map((name) => [name, 7]))
    // In an object literal it would be the prototype.
    Object.defineProperty(options, '__proto__', { value: 5, enumerable: true })
    t.strictSame(resolve({ ...options, path: '/live' } as PylonSseOptions).path, '/live')
    t.strictSame(foreignOptions({ ...options, path: '/live', prefix: '/v1' }), [...others.split(' '), '__proto__'])
  }
)
