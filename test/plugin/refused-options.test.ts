import t from 'tap'
import type { PylonSseOptions } from '../../lib/api/options.js'
import { memoryBackplane } from '../../lib/backplane/memory.js'
import { MAX_DELAY, NAMES, resolve } from '../kit/resolved-options.js'

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
