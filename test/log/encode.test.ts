import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { validateHeaderValue } from 'node:http'
import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import t from 'tap'
import type { EventOptions } from '../../lib/api/api.js'
import {
  decodeFrame,
  encodeBody,
  encodeConnected,
  encodeFarewell,
  encodeFrame,
  encodeKeepAlive,
  encodeResync,
  encodeRetry,
  type Farewell,
  readEventOptions,
  STAY_AWAY,
  serializeData
} from '../../lib/log/encode.js'

interface SentEvent extends EventOptions {
  text: string
}

interface Received {
  events: { id: string | undefined; event: string | undefined; data: string }[]
  comments: string[]
  retries: number[]
  /** Lines that are no field of a stream. */
  strays: string[]
}

function frameOf({ text, event, id }: SentEvent): Buffer {
  const options = readEventOptions({ event, id })
  return encodeFrame(options.id, encodeBody(text, options, Number.POSITIVE_INFINITY))
}

/** What a client makes of bytes that come to it in these pieces. */
function receive(...pieces: Uint8Array[]): Received {
  const received: Received = { events: [], comments: [], retries: [], strays: [] }
  const parser = createParser({
    onEvent: ({ id, event, data }) => received.events.push({ id, event, data }),
    onComment: (comment) => received.comments.push(comment),
    onRetry: (retry) => received.retries.push(retry),
    onError: (error) => received.strays.push(error.message)
  })
  const decoder = new TextDecoder('utf-8', { fatal: true })
  for (const piece of pieces) parser.feed(decoder.decode(piece, { stream: true }))
  parser.feed(decoder.decode())
  return received
}

/** UTF-8 has no form for half a character: the client gets the replacement character, as from JSON and from `fetch`. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd')
}

function expected({ text, event, id }: SentEvent): Received['events'][number] {
  const data = wellFormed(text).replaceAll('\r\n', '\n').replaceAll('\r', '\n')
  return { id, event: event ? wellFormed(event) : undefined, data }
}

function onlyEvents(...events: SentEvent[]): Received {
  return { events: events.map(expected), comments: [], retries: [], strays: [] }
}

/** Strings of UTF-16 code units, dense in what could mean something to a parser. */
const wild = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('\r', '\n', '\r\n', '\0', ' ', ':', '\ufeff', '\u2028', '\t') },
      {
        weight: 1,
        arbitrary: fc.constantFrom('data: x', 'id: x', 'event: x', 'retry: 9', '\n\n: x', '\ud83d', '\ude00')
      },
      { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 6 }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) }
    ),
    { maxLength: 12 }
  )
  .map((parts) => parts.join(''))
const goodName = wild.map((name) => name.replace(/[\r\n\0]/g, ''))
const goodId = fc
  .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 12 })
  .filter((id) => id.trim() !== '' && id.trim() !== STAY_AWAY)

const goodEvent: fc.Arbitrary<SentEvent> = fc.record({
  text: wild,
  event: fc.option(goodName, { nil: undefined }),
  id: fc.option(goodId, { nil: undefined })
})

/** What is taken for text at times, and how an error shows it. */
const NOT_TEXT: [text: unknown, shown: string][] = [
  [undefined, 'undefined'],
  [null, 'null'],
  [5, '5'],
  [Buffer.from('text'), 'an object'],
  [Promise.resolve('text'), 'an object']
]

t.test('an event goes out as its id, its name, a line for each line of its text, and a blank line', async (t) => {
  const frames: [sent: SentEvent, wire: string][] = [
    [{ text: 'hello' }, 'data: hello\n\n'],
    [{ text: 'hello', event: 'greeting' }, 'event: greeting\ndata: hello\n\n'],
    [{ text: 'hello', id: '7' }, 'id: 7\ndata: hello\n\n'],
    [{ text: 'a\nb', event: 'e', id: 'i' }, 'id: i\nevent: e\ndata: a\ndata: b\n\n'],
    [{ text: 'hello', event: '' }, 'data: hello\n\n'],
    [{ text: '' }, 'data: \n\n']
  ]
  for (const [sent, wire] of frames) t.equal(frameOf(sent).toString(), wire, JSON.stringify(sent))
})

t.test('text with any line breaks reaches the client as the same lines', async (t) => {
  const texts: [text: string, data: string][] = [
    ['a\nb', 'a\nb'],
    ['a\rb', 'a\nb'],
    ['a\r\nb', 'a\nb'],
    ['a\n\rb', 'a\n\nb'],
    ['a\r\r\nb', 'a\n\nb'],
    ['\na', '\na'],
    ['a\r\n', 'a\n'],
    ['\r', '\n'],
    // Line breaks elsewhere, not in an event stream.
    ['a\u2028b\u2029c\u0085d\ve\ff', 'a\u2028b\u2029c\u0085d\ve\ff']
  ]
  t.strictSame(
    texts.map(([text]) => [text, receive(frameOf({ text })).events.map(({ data }) => data)]),
    texts.map(([text, data]) => [text, [data]])
  )
})

t.test('what is sent is what is received, whatever the text, the name and the id', async () => {
  fc.assert(
    fc.property(goodEvent, (event) => assert.deepEqual(receive(frameOf(event)), onlyEvents(event))),
    { numRuns: 500 }
  )
})

t.test('the network may join events and cut their bytes anywhere', async () => {
  fc.assert(
    fc.property(
      fc.array(goodEvent, { minLength: 2, maxLength: 5 }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 }),
      (events, cuts) => {
        const bytes = Buffer.concat(events.map(frameOf))
        const ends = [...cuts.map((cut) => Math.round(cut * bytes.length)).sort((a, b) => a - b), bytes.length]
        const pieces = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end))
        assert.deepEqual(receive(...pieces), onlyEvents(...events))
      }
    ),
    { numRuns: 300 }
  )
})

t.test('bytes may come one by one', async (t) => {
  const event = { text: 'zwölf\r\n😀\ufeff\ud83d', event: '名前', id: '~' }
  const pieces = [...frameOf(event)].map((byte) => Uint8Array.of(byte))
  t.strictSame(receive(...pieces), onlyEvents(event))
})

t.test('no name, id or text forges a field or a frame: it is refused, or arrives as what it is', async () => {
  const frames = { sent: 0, refused: 0 }
  fc.assert(
    fc.property(wild, fc.oneof(wild, goodName), fc.oneof(wild, goodId), (text, event, id) => {
      const before = { text: 'before' }
      const after = { text: 'after' }
      let frame: Buffer
      try {
        frame = frameOf({ text, event, id })
        frames.sent++
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'PYLON_SSE_ERR_INVALID_EVENT')
        frames.refused++
        return
      }
      const received = receive(frameOf(before), frame, frameOf(after))
      assert.deepEqual(received, onlyEvents(before, { text, event, id }, after))
    }),
    { numRuns: 500 }
  )
  // Otherwise the property says nothing of one of the two.
  assert.ok(frames.sent > 50 && frames.refused > 50, JSON.stringify(frames))
})

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

t.test('an id of 1,024 characters is taken', async (t) => {
  for (const id of ['x'.repeat(1024), '~ '.repeat(512)]) t.equal(readEventOptions({ id }).id, id)
})

t.test('every id that is taken comes back in a header as it was, whatever it is', async () => {
  fc.assert(
    fc.property(goodId, (id) => {
      const { id: taken } = readEventOptions({ id })
      assert.equal(taken, id)
      validateHeaderValue('last-event-id', id)
      assert.equal(new Headers({ 'last-event-id': `x${id}x` }).get('last-event-id'), `x${id}x`)
    }),
    { numRuns: 500 }
  )
})

t.test('options are read once, so that later changes have no effect', async (t) => {
  const good = { event: 'good', id: 'good', topic: 'good', except: 'good' }
  const reads: Record<string, number> = {}
  const shifty = {}
  for (const field of Object.keys(good)) {
    const get = () => {
      reads[field] = (reads[field] ?? 0) + 1
      return reads[field] === 1 ? 'good' : 'bad\n\ndata: forged'
    }
    Object.defineProperty(shifty, field, { get, enumerable: true })
  }
  t.strictSame(readEventOptions(shifty), good)
  t.strictSame(reads, { event: 1, id: 1, topic: 1, except: 1 }, 'each is read once')

  const changed: EventOptions = { ...good }
  const read = readEventOptions(changed)
  Object.assign(changed, { event: 'bad\ndata: forged', id: 'bad\n\ndata: forged', topic: '*', except: 'bad' })
  t.strictSame(read, good)
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

t.test('an encoded event can be decoded', async () => {
  fc.assert(
    fc.property(goodEvent, (event) => {
      const { event: name, data: text } = expected(event)
      assert.deepEqual(decodeFrame(frameOf(event)), { event: name, text })
    }),
    { numRuns: 500 }
  )
})

t.test('a frame that is kept keeps no memory but its own', async (t) => {
  for (const text of ['', 'x', 'é😀'.repeat(100), 'x'.repeat(5000)]) {
    for (const id of [undefined, '~']) {
      const frame = frameOf({ text, id })
      t.equal(frame.buffer.byteLength, frame.length, `${frame.length} bytes`)
    }
  }
})

t.test('an error shows the beginning of a long value', async (t) => {
  const id = `\n${'x'.repeat(1000)}`
  t.throws(() => readEventOptions({ id }), { message: `got '\\n${'x'.repeat(63)}'; it takes` })
})

t.test('an option that is undefined is as one that is not given', async (t) => {
  const event = { text: 'x', event: undefined, id: undefined }
  t.equal(frameOf(event).toString(), frameOf({ text: 'x' }).toString())
  t.strictSame(readEventOptions({ topic: undefined, except: undefined }), readEventOptions({}))
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

t.test("data becomes text by the app's serializer alone", async (t) => {
  t.equal(serializeData({ a: [1, 'ü'] }, JSON.stringify), '{"a":[1,"ü"]}')
  t.equal(
    serializeData(7n, (data) => `<${data}>`),
    '<7>'
  )
  t.equal(
    serializeData('x', () => ''),
    ''
  )
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

t.test('a stream opens with an event that tells who the client is, the cursor and the reconnection time', async (t) => {
  const client = randomUUID()
  const data = JSON.stringify({ client, keepAlive: 30_000 })
  const body = `event: connected\ndata: ${data}\n\n`
  const openings: [retry: number | undefined, id: string | undefined, wire: string][] = [
    [undefined, undefined, `: connected\n${body}`],
    [3000, undefined, `: connected\nretry: 3000\n${body}`],
    [0, 'e-0', `: connected\nretry: 0\nid: e-0\n${body}`],
    [undefined, 'e-41', `: connected\nid: e-41\n${body}`]
  ]
  for (const [retry, id, wire] of openings) {
    const bytes = encodeConnected({ retry, id, client, keepAlive: 30_000 })
    t.equal(bytes.toString(), wire)
    const retries = retry === undefined ? [] : [retry]
    t.strictSame(receive(bytes), {
      events: [{ id, event: 'connected', data }],
      comments: ['connected'],
      retries,
      strays: []
    })
  }
})

t.test('a reconnection time and a keepalive are lines, of which no client makes a message', async (t) => {
  t.equal(encodeRetry(4500), 'retry: 4500\n')
  t.equal(encodeKeepAlive(false).toString(), ': keepalive\n')
  const next = { text: 'next', id: '1' }
  t.strictSame(receive(Buffer.from(encodeRetry(4500)), encodeKeepAlive(false), frameOf(next)), {
    ...onlyEvents(next),
    comments: ['keepalive'],
    retries: [4500]
  })
})

t.test('a keepalive may tell how far the log has moved on, in an event of its own name', async (t) => {
  const bytes = encodeKeepAlive(true, 'e-41')
  t.equal(bytes.toString(), ': keepalive\nid: e-41\nevent: keepalive\ndata: {}\n\n')
  const events = [{ id: 'e-41', event: 'keepalive', data: '{}' }]
  t.strictSame(receive(bytes), { events, comments: ['keepalive'], retries: [], strays: [] })
})

t.test('the last bytes of a stream are not an event, unless the client is to stay away', async (t) => {
  const stayAway = `id: ${STAY_AWAY}\nevent: ${STAY_AWAY}\ndata: {}\n\n`
  const event = { id: STAY_AWAY, event: STAY_AWAY, data: '{}' }
  const farewells: [Farewell, wire: string, retries: number[], events: object[]][] = [
    [{ retry: 0 }, 'retry: 0\n', [0], []],
    [{ retry: 4500 }, 'retry: 4500\n', [4500], []],
    [{ stayAway: true }, stayAway, [], [event]]
  ]
  for (const [farewell, wire, retries, events] of farewells) {
    const bytes = encodeFarewell(farewell)
    t.equal(bytes.toString(), wire)
    t.strictSame(receive(bytes), { events, comments: [], retries, strays: [] })
  }
})

t.test('a resync is an event that tells why, how many events were missed, and where to go on from', async (t) => {
  t.equal(
    encodeResync('e-9', 'overflow', 4).toString(),
    'id: e-9\nevent: resync\ndata: {"reason":"overflow","missed":4}\n\n'
  )
  t.strictSame(receive(encodeResync('e-9', 'unknown', null)).events, [
    { id: 'e-9', event: 'resync', data: '{"reason":"unknown","missed":null}' }
  ])
})

function raise(reason: unknown): never {
  throw reason
}

t.test('an except that cannot be a client id, for example from a forged header, is dropped', async (t) => {
  const id = randomUUID()
  t.equal(readEventOptions({ except: id }).except, id)
  t.equal(readEventOptions({ except: `${id}0` }).except, undefined)
  t.equal(readEventOptions({ except: 'x'.repeat(16_000) }).except, undefined)
})
