import t from 'tap'
import { encodeBody, readEventOptions, STAY_AWAY, serializeData } from '../../lib/log/encode.js'
import type { SentEvent } from '../kit/sent-events.js'

/** What is taken for text at times, and how an error shows it. */
const NOT_TEXT: [text: unknown, shown: string][] = [
  [undefined, 'undefined'],
  [null, 'null'],
  [5, '5'],
  [Buffer.from('text'), 'an object'],
  [Promise.resolve('text'), 'an object']
]

t.test('a name, an id or a text that cannot be sent is refused, and the error names the field', async (t) => {
  const nameTakes = 'a string without line breaks and NUL'
  const idTakes = 'a string of printable ASCII that is not blank, of 1024 characters at most'
  const topicTakes = "a name without control characters, in words with '.' between, none of them '*' or '**'"
  const refused: [field: string, value: unknown, shown: string, takes: string][] = [
    ['event', 'a\nb', "'a\\nb'", nameTakes],
    ['event', 'a\rb', "'a\\rb'", nameTakes],
    ['event', 'a\r\n', "'a\\r\\n'", nameTakes],
    ['event', '\0', "'\\u0000'", nameTakes],
    ['event', 5, '5', nameTakes],
    ['event', null, 'null', nameTakes],
    ['event', ['a'], 'an array', nameTakes],
    ['event', { toString: () => 'a' }, 'an object', nameTakes],
    ['event', Object.create(null), 'an object', nameTakes],
    ['event', Symbol('s'), 'Symbol(s)', nameTakes],
    ['event', () => 'a', 'a function', nameTakes],
    ['id', 'a\nb', "'a\\nb'", idTakes],
    ['id', '\r', "'\\r'", idTakes],
    ['id', '\0', "'\\u0000'", idTakes],
    ['id', 'a\tb', "'a\\tb'", idTakes],
    ['id', '\x1f', "'\\u001f'", idTakes],
    ['id', '\x7f', "'\x7f'", idTakes],
    ['id', '', "''", idTakes],
    ['id', '  ', "'  '", idTakes],
    ['id', 7, '7', idTakes],
    ['id', null, 'null', idTakes],
    ['id', ['a'], 'an array', idTakes],
    ['id', '\ud83d', "'\\ud83d'", idTakes],
    ['id', '\ude00\ud83d', "'\\ude00\\ud83d'", idTakes],
    ['id', 'a\ufffd', "'a\ufffd'", idTakes],
    ['id', 'x'.repeat(1025), `'${'x'.repeat(64)}'`, idTakes],
    ['id', 'é', "'é'", idTakes],
    ['id', '\u{1f642}', "'\u{1f642}'", idTakes],
    ['id', STAY_AWAY, "'stay-away'", idTakes],
    ['id', ` ${STAY_AWAY} `, "' stay-away '", idTakes],
    ['topic', '', "''", topicTakes],
    ['topic', 'a\nb', "'a\\nb'", topicTakes],
    ['topic', '\x7f', "'\x7f'", topicTakes],
    ['topic', 'orders.*', "'orders.*'", topicTakes],
    ['topic', '**', "'**'", topicTakes],
    ['topic', 5, '5', topicTakes],
    ['topic', null, 'null', topicTakes],
    ['topic', ['a'], 'an array', topicTakes],
    ['except', 5, '5', 'the id of a client'],
    ['except', null, 'null', 'the id of a client'],
    ['except', ['a'], 'an array', 'the id of a client']
  ]
  for (const [field, value, shown, takes] of refused) {
    t.throws(
      () => readEventOptions({ [field]: value }),
      {
        name: 'FastifyError',
        code: 'PYLON_SSE_ERR_INVALID_EVENT',
        message: `Event field '${field}' got ${shown}; it takes ${takes}.`
      },
      `${field}: ${shown}`
    )
  }
  for (const [text, shown] of NOT_TEXT) {
    t.throws(() => encodeBody(text as never, {}, 100), {
      code: 'PYLON_SSE_ERR_INVALID_EVENT',
      message: `Event field 'data' got ${shown}; it takes a string.`
    })
  }
})

t.test('a field that events do not have is refused, and the message names the one that is meant, or all', async (t) => {
  const unknown: [options: object, message: string][] = [
    [{ retry: 5 }, "Event field 'retry' does not exist; there are event, id, topic, except."],
    [{ retry: undefined }, "Event field 'retry' does not exist; there are event, id, topic, except."],
    [Object.create({ topics: 'a' }), "Event field 'topics' does not exist; did you mean 'topic'?"],
    [{ Event: 'a' }, "Event field 'Event' does not exist; did you mean 'event'?"]
  ]
  for (const [options, message] of unknown) {
    t.throws(() => readEventOptions(options), { code: 'PYLON_SSE_ERR_INVALID_EVENT', message })
  }
})

t.test(
  'a name that the plugin or EventSource has an event of is refused, and the message says whose it is',
  async (t) => {
    const owners: Record<string, string> = {
      connected: 'the plugin sends it when a stream begins',
      keepalive: 'the plugin sends it to clients that get nothing else',
      resync: 'the plugin sends it to clients that have missed events',
      'stay-away': 'the plugin sends it to clients that are to stay away',
      open: 'EventSource fires an event of that name when it has connected',
      error: 'EventSource fires an event of that name when its connection fails'
    }
    for (const [event, owner] of Object.entries(owners)) {
      t.throws(() => readEventOptions({ event }), {
        code: 'PYLON_SSE_ERR_INVALID_EVENT',
        message: `Event field 'event' got '${event}'; it takes another name: ${owner}, and pages could not tell the two apart.`
      })
    }
    for (const event of ['message', 'Error', 'opened', 'resync.done']) t.equal(readEventOptions({ event }).event, event)
  }
)

t.test('options that are no object are refused', async (t) => {
  const refused: [options: unknown, shown: string][] = [
    [null, 'null'],
    [undefined, 'undefined'],
    ['greeting', "'greeting'"],
    [5, '5'],
    [true, 'true']
  ]
  for (const [options, shown] of refused) {
    t.throws(
      () => readEventOptions(options as never),
      {
        code: 'PYLON_SSE_ERR_INVALID_EVENT',
        message: `Event field 'options' got ${shown}; it takes an object.`
      },
      shown
    )
  }
})

t.test('fields that do not apply are refused', async (t) => {
  t.match(readEventOptions({ event: 'e' }, ['event']), { event: 'e' })
  for (const field of ['id', 'topic', 'except']) {
    t.throws(() => readEventOptions({ [field]: 'x' }, ['event']), {
      code: 'PYLON_SSE_ERR_INVALID_EVENT',
      message: `Event field '${field}' does not exist; there are event.`
    })
  }
})

t.test('an error shows the beginning of a long value', async (t) => {
  const id = `\n${'x'.repeat(1000)}`
  t.throws(() => readEventOptions({ id }), { message: `got '\\n${'x'.repeat(63)}'; it takes` })
})

t.test('data that cannot be serialised is refused, and the error says why', async (t) => {
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  const broken = new Error('out of order')
  const textless = Object.create(null)
  const refused: [what: string, data: unknown, why: RegExp, cause?: unknown][] = [
    ['undefined', undefined, /serialize gave undefined, not a string/],
    ['a function', () => {}, /serialize gave undefined, not a string/],
    ['a symbol', Symbol('s'), /serialize gave undefined, not a string/],
    ['a cycle', cycle, /circular/],
    ['a BigInt', 1n, /BigInt/],
    ['a serializer whose message is a sentence', { toJSON: () => raise(new Error('No number.')) }, /: No number\.$/],
    ['a toJSON that throws', { toJSON: () => raise(broken) }, /out of order/, broken],
    ['a toJSON that throws no error', { toJSON: () => raise('just text') }, /: 'just text'\.$/, 'just text'],
    ['a toJSON that throws what has no text', { toJSON: () => raise(textless) }, /: an object\.$/, textless]
  ]
  for (const [what, data, message, cause] of refused) {
    t.throws(
      () => serializeData(data, JSON.stringify),
      { code: 'PYLON_SSE_ERR_UNSERIALIZABLE', message, ...(cause !== undefined && { cause }) },
      what
    )
  }
  for (const [text, shownAs] of NOT_TEXT) {
    const shown = text instanceof Promise ? 'a promise' : shownAs
    t.throws(() => serializeData('data', () => text as never), {
      code: 'PYLON_SSE_ERR_UNSERIALIZABLE',
      message: `The data of an event cannot be serialized: serialize gave ${shown}, not a string.`
    })
  }
})

t.test('the bound of an event counts the UTF-8 bytes of its text, name and id, and no others', async (t) => {
  const sizes: [sent: SentEvent, bytes: number][] = [
    [{ text: '' }, 0],
    [{ text: 'abc' }, 3],
    [{ text: 'é😀' }, 6],
    [{ text: '\ud83d' }, 3],
    [{ text: 'a\nb\r\n' }, 5],
    [{ text: 'abc', event: 'né', id: 'ü😀' }, 12]
  ]
  for (const [{ text, ...options }, bytes] of sizes) {
    t.doesNotThrow(() => encodeBody(text, options, bytes), `${bytes} of ${bytes} bytes`)
    t.throws(
      () => encodeBody(text, options, bytes - 1),
      {
        code: 'PYLON_SSE_ERR_EVENT_TOO_LARGE',
        message: `The event has ${bytes} bytes; maxEventBytes allows ${bytes - 1}.`
      },
      `${bytes} of ${bytes - 1} bytes`
    )
  }
})

function raise(reason: unknown): never {
  throw reason
}
