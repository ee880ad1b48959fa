import assert from 'node:assert/strict'
import { validateHeaderValue } from 'node:http'
import fc from 'fast-check'
import t from 'tap'
import { decodeFrame, readEventOptions, STAY_AWAY, serializeData } from '../../lib/log/encode.js'
import { expected, frameOf, onlyEvents, receive, type SentEvent } from '../kit/sent-events.js'

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

t.test('an encoded event can be decoded', async () => {
  fc.assert(
    fc.property(goodEvent, (event) => {
      const { event: name, data: text } = expected(event)
      assert.deepEqual(decodeFrame(frameOf(event)), { event: name, text })
    }),
    { numRuns: 500 }
  )
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
