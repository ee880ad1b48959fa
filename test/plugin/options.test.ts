import t from 'tap'
import { foreignOptions } from '../../lib/api/input/option-checks.js'
import { type PylonSseOptions, type ResolvedOptions, resolveOptions } from '../../lib/api/options.js'
import { memoryBackplane } from '../../lib/backplane/memory.js'

const MIB = 1024 * 1024
const MAX_DELAY = 2 ** 31 - 1

const DEFAULTS: Omit<ResolvedOptions, 'allowsOrigins'> = {
  path: '/events',
  decorator: 'sse',
  shards: 16,
  queueDepth: 1024,
  overflow: 'drop-oldest',
  history: { events: 10_000, bytes: 16 * MIB },
  keepAliveInterval: 30_000,
  keepAlive: 'comment',
  retry: undefined,
  maxClientsPerIp: 64,
  limitBy: undefined,
  maxClients: Number.POSITIVE_INFINITY,
  overLimit: undefined,
  maxConnectionAge: Number.POSITIVE_INFINITY,
  authorizeTopics: undefined,
  maxTopics: 100,
  maxTopicBytes: 256,
  publish: false,
  events: {},
  maxEventBytes: MIB,
  compress: false,
  stallTimeout: 60_000,
  cors: { origin: '*' },
  route: {},
  onConnect: undefined,
  onDisconnect: undefined,
  serialize: JSON.stringify,
  runs: { max: 10_000, bytes: 64 * MIB, silence: 15_000 },
  backplane: undefined
}
/** What follows from whether an option was given. */
const DERIVED: ResolvedOptions = { ...DEFAULTS, allowsOrigins: false }

const NAMES = Object.keys(DEFAULTS) as (keyof PylonSseOptions)[]

function resolve(options: object): ResolvedOptions {
  return resolveOptions(options as PylonSseOptions)
}

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

t.test('0 stands for never', async (t) => {
  for (const name of ['keepAliveInterval', 'stallTimeout', 'maxConnectionAge'] as const) {
    t.strictSame(resolve({ [name]: 0 }), { ...DERIVED, [name]: Number.POSITIVE_INFINITY }, name)
  }
})

t.test('options of register itself are accepted', async (t) => {
  t.strictSame(resolve({ prefix: '/v1', logLevel: 'warn', logSerializers: {} }), DERIVED)
})

type Bad = [value: unknown, shown: string, name?: string, takes?: string]

function wholeNumber(takes: string, ...beyond: number[]): { takes: string; bad: Bad[] } {
  const bad: Bad[] = [
    [1.5, '1.5'],
    ['5', "'5'"],
    [null, 'null'],
    [true, 'true'],
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
    [2 ** 53, String(2 ** 53)],
    [{}, 'an object'],
    [[5], 'an array'],
    [5n, '5n'],
    [() => 5, 'a function']
  ]
  return { takes, bad: [...bad, ...beyond.map((value): Bad => [value, String(value)])] }
}

t.test('an option with a bad value is refused, and the error names it, what it got and what it takes', async (t) => {
  const callable: { takes: string; bad: Bad[] } = {
    takes: 'a function',
    bad: [
      ['log', "'log'"],
      [{}, 'an object'],
      [null, 'null'],
      [false, 'false']
    ]
  }
  const bound = 'a whole number from 1'
  const routeOptions = (option: string): Bad[] =>
    ['method', 'url', 'path', 'handler', 'exposeHeadRoute', 'prefixTrailingSlash'].map(
      (key): Bad => [{ [key]: 'x' }, "'x'", `${option}.${key}`, 'cannot be set: the plugin sets it itself']
    )
  const refused: Record<keyof PylonSseOptions, { takes: string; bad: Bad[] }> = {
    path: {
      takes: "a path such as '/events', or false",
      bad: [
        ['', "''"],
        ['events', "'events'"],
        ['/events?all', "'/events?all'"],
        ['/events#top', "'/events#top'"],
        ['https://example.com/events', "'https://example.com/events'"],
        [null, 'null'],
        [5, '5']
      ]
    },
    decorator: {
      takes: 'a name',
      bad: [
        ['', "''"],
        [null, 'null'],
        [Symbol('sse'), 'Symbol(sse)']
      ]
    },
    shards: wholeNumber('a whole number from 1 to 65536', 0, -1, 65_537, Number.POSITIVE_INFINITY),
    queueDepth: wholeNumber(bound, 0, -1, Number.POSITIVE_INFINITY),
    overflow: {
      takes: "'drop-oldest' or 'disconnect'",
      bad: [
        ['drop', "'drop'"],
        ['', "''"],
        [null, 'null'],
        [false, 'false']
      ]
    },
    history: {
      takes: 'an object or false',
      bad: [
        [true, 'true'],
        [null, 'null'],
        [1000, '1000'],
        [[], 'an array'],
        [{ events: 0 }, '0', 'history.events', bound],
        [{ events: '5' }, "'5'", 'history.events', bound],
        [{ bytes: -1 }, '-1', 'history.bytes', bound],
        [{ bytes: null }, 'null', 'history.bytes', bound],
        [{ events: 5, byte: 5 }, '5', 'history.byte', "does not exist; did you mean 'history.bytes'?"],
        // What every object has, too.
        [{ toString: 5 }, '5', 'history.toString', 'does not exist; there are events, bytes'],
        [{ constructor: undefined }, 'undefined', 'history.constructor', 'does not exist; there are events, bytes']
      ]
    },
    keepAliveInterval: wholeNumber(`a whole number from 0 to ${MAX_DELAY}`, -1, MAX_DELAY + 1),
    keepAlive: {
      takes: "'comment' or 'event'",
      bad: [
        ['events', "'events'"],
        [true, 'true']
      ]
    },
    retry: wholeNumber(`a whole number from 0 to ${MAX_DELAY}`, -1, MAX_DELAY + 1),
    maxClientsPerIp: wholeNumber(`${bound}, or false`, 0, -1),
    limitBy: callable,
    maxClients: wholeNumber(bound, 0, -1, Number.POSITIVE_INFINITY),
    overLimit: {
      takes: "'status' or 'retry'",
      bad: [
        ['429', "'429'"],
        ['', "''"],
        [null, 'null'],
        [false, 'false']
      ]
    },
    maxConnectionAge: wholeNumber(`a whole number from 0 to ${MAX_DELAY}`, -1, MAX_DELAY + 1),
    authorizeTopics: callable,
    maxTopics: wholeNumber(bound, 0, -1, Number.POSITIVE_INFINITY),
    maxTopicBytes: wholeNumber(bound, 0, -1, Number.POSITIVE_INFINITY),
    publish: {
      takes: 'an object or false',
      bad: [[true, 'true'], [null, 'null'], [[], 'an array'], ['/publish', "'/publish'"], ...routeOptions('publish')]
    },
    events: {
      takes: 'an object',
      bad: [
        [false, 'false'],
        [null, 'null'],
        [['todo.created'], 'an array']
      ]
    },
    maxEventBytes: wholeNumber(bound, 0, -1, Number.POSITIVE_INFINITY),
    compress: {
      takes: 'true or false',
      bad: [
        ['gzip', "'gzip'"],
        [1, '1'],
        [null, 'null'],
        [{}, 'an object']
      ]
    },
    stallTimeout: wholeNumber(`a whole number from 0 to ${MAX_DELAY}`, -1, MAX_DELAY + 1),
    cors: {
      takes: 'an object, a function or false',
      bad: [
        [true, 'true'],
        ['*', "'*'"],
        [null, 'null'],
        [['https://example.com'], 'an array']
      ]
    },
    route: {
      takes: 'an object',
      bad: [
        [false, 'false'],
        [null, 'null'],
        [[], 'an array'],
        ...routeOptions('route'),
        ...[{ origin: 'https://example.com' }, false].map(
          (cors): Bad => [
            { config: { cors } },
            cors === false ? 'false' : 'an object',
            'route.config.cors',
            "cannot be set; use the plugin's option 'cors' instead"
          ]
        )
      ]
    },
    onConnect: callable,
    onDisconnect: callable,
    serialize: callable,
    runs: {
      takes: 'an object',
      bad: [
        [false, 'false'],
        [{ max: 0 }, '0', 'runs.max', bound],
        [{ silence: 99 }, '99', 'runs.silence', `a whole number from 100 to ${MAX_DELAY}`],
        [{ byte: 5 }, '5', 'runs.byte', "does not exist; did you mean 'runs.bytes'?"]
      ]
    },
    backplane: {
      takes: 'a backplane, as redisStreams(), jetStream() and postgres() give it',
      bad: [
        ['redis', "'redis'"],
        [null, 'null'],
        [true, 'true'],
        [{}, 'an object'],
        [{ ...memoryBackplane(), join: undefined }, 'an object'],
        [{ ...memoryBackplane(), compare: 'a' }, 'an object']
      ]
    }
  }
  t.strictSame(Object.keys(refused), NAMES)
  for (const option of NAMES) {
    const { takes, bad } = refused[option]
    for (const [value, shown, name = option, what = takes] of bad) {
      t.throws(
        () => resolve({ [option]: value }),
        {
          name: 'FastifyError',
          code: 'PYLON_SSE_ERR_INVALID_OPTION',
          message: what.includes('?')
            ? `Option '${name}' ${what}`
            : `Option '${name}' ${/^(cannot|does not)/.test(what) ? what : `got ${shown}; it takes ${what}`}.`
        },
        `${name}: ${shown}`
      )
    }
  }
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

t.test('a misspelt option is refused, and the message suggests the right one', async (t) => {
  const misspelt: [name: string, meant: string][] = [
    ['shard', 'shards'],
    ['KeepAlive', 'keepAlive'],
    ['keep_alive_interval', 'keepAliveInterval'],
    ['keepaliveinterval', 'keepAliveInterval'],
    ['keepAliveInterva', 'keepAliveInterval'],
    ['Path', 'path'],
    ['paht', 'path'],
    ['histroy', 'history'],
    ['history.', 'history'],
    ['maxClientPerIP', 'maxClientsPerIp'],
    ['maxClientsPerIpv6', 'maxClientsPerIp'],
    ['onConnected', 'onConnect'],
    ['compression', 'compress'],
    ['authoriseTopics', 'authorizeTopics'],
    ['serialise', 'serialize'],
    ['backPlane', 'backplane'],
    ['event', 'events']
  ]
  for (const [name, meant] of misspelt) {
    t.throws(
      () => resolve({ [name]: 7 } as PylonSseOptions),
      {
        code: 'PYLON_SSE_ERR_INVALID_OPTION',
        message: `Option '${name}' does not exist; did you mean '${meant}'?`
      },
      name
    )
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
