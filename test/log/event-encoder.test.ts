import t from 'tap'
import { EventEncoder, type EventEncoderOptions } from '../../lib/log/event-encoder.js'

const encoder = (options: Partial<EventEncoderOptions> = {}) =>
  new EventEncoder({ serialize: JSON.stringify, events: {}, maxEventBytes: 100, maxTopicBytes: 5, ...options })

t.test('data becomes the text that serialize gives, with the labels of the event', async (t) => {
  const labels = { id: '1', topic: 't', except: 'c' }
  const body = 'event: e\ndata: {"a":1}\n\n'
  t.strictSame(encoder().encode({ a: 1 }, { event: 'e', ...labels }), { kind: 'event', ...labels, isText: false, body })
  t.match(encoder({ serialize: (data) => `<${data}>` }).encode(7), { isText: false, body: 'data: <7>\n\n' })
})

t.test('text stays text, whatever serialize and schemas say', async (t) => {
  const serialize = () => t.fail('text is text already') as never
  const events = { e: { type: 'integer' } }
  const encoded = encoder({ serialize, events }).encodeText('a\nb', { event: 'e' })
  t.match(encoded, { isText: true, body: 'event: e\ndata: a\ndata: b\n\n' })
})

t.test('an event that has a schema is serialised by it, and the others are not', async (t) => {
  const by = encoder({ events: { e: { type: 'object', properties: { a: { type: 'integer' } } } } })
  t.match(by.encode({ a: 1, b: 2 }, { event: 'e' }), { body: 'event: e\ndata: {"a":1}\n\n' })
  t.match(by.encode({ a: 1, b: 2 }, { event: 'f' }), { body: 'event: f\ndata: {"a":1,"b":2}\n\n' })
  t.match(by.encode({ a: 1, b: 2 }), { body: 'data: {"a":1,"b":2}\n\n' })
  t.equal(by.encodeDirect({ a: 1, b: 2 }, { event: 'e' }), 'event: e\ndata: {"a":1}\n\n')
})

t.test('undefined cannot be serialised, not even by a schema that takes anything', async (t) => {
  const error = { code: 'PYLON_SSE_ERR_UNSERIALIZABLE' }
  t.throws(() => encoder({ events: { e: {} } }).encode(undefined, { event: 'e' }), error)
  t.throws(() => encoder().encode(undefined), error)
})

t.test('an event to a single client takes a name, and no other option', async (t) => {
  t.equal(encoder().encodeDirect('x'), 'data: "x"\n\n')
  t.throws(() => encoder().encodeDirect('x', { id: '1' } as object), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
})

t.test('a topic of too many bytes is refused', async (t) => {
  t.match(encoder().encode(1, { topic: 'äöu' }), { topic: 'äöu' })
  t.throws(() => encoder().encode(1, { topic: 'äöux' }), {
    code: 'PYLON_SSE_ERR_INVALID_EVENT',
    message: "Event field 'topic' got 6 bytes; it takes 5 at most."
  })
  t.throws(() => encoder().encodeText('1', { topic: 'äöux' }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
})

t.test('an event of too many bytes is refused, whichever way it goes', async (t) => {
  const text = 'x'.repeat(101)
  const error = { code: 'PYLON_SSE_ERR_EVENT_TOO_LARGE' }
  t.throws(() => encoder().encode(text), error)
  t.throws(() => encoder().encodeText(text), error)
  t.throws(() => encoder().encodeDirect(text), error)
})

t.test('a schema for an event of the plugin itself is refused', async (t) => {
  for (const event of ['connected', 'keepalive', 'resync', 'stay-away', 'open', 'error']) {
    t.throws(() => encoder({ events: { [event]: {} } }), {
      code: 'PYLON_SSE_ERR_INVALID_OPTION',
      message: new RegExp(`^Option 'events.${event}' cannot be set: .* could not tell the two apart\\.$`)
    })
  }
})

t.test('a schema that cannot be compiled is refused by the name of its event', async (t) => {
  t.throws(() => encoder({ events: { bad: { type: 'no such type' } } }), {
    code: 'PYLON_SSE_ERR_INVALID_OPTION',
    message: /^Option 'events\.bad' got a schema that fails/
  })
})
