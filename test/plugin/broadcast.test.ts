import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { serve } from '../kit/server.js'

const MIB = 2 ** 20

t.test('what is broadcast reaches every client, with one id for all', async (t) => {
  const { app, ...server } = await serve(t)
  const clients = await Promise.all([server.connect(), server.connect(), server.connect()])
  app.sse.broadcast({ id: 7 }, { event: 'todo.created' })
  app.sse.broadcastMessage('hello')
  const [first, ...others] = await Promise.all(clients.map((client) => client.take(2)))
  t.match(first, [
    { id: String, event: 'todo.created', data: '{"id":7}' },
    { id: String, event: undefined, data: 'hello' }
  ])
  for (const events of others) t.strictSame(events, first)
})

t.test('a client gets what is broadcast from its arrival on, and nothing from before', async (t) => {
  const { app, connect } = await serve(t)
  app.sse.broadcast('before')
  const client = await connect()
  app.sse.broadcast('after')
  t.match(await client.next(), { data: '"after"' })
  t.equal(client.events.length, 1)
})

t.test('data arrives as its JSON', async (t) => {
  const { app, connect } = await serve(t)
  const client = await connect()
  const values = [
    { a: [1, { b: null }], c: 'ü' },
    'two\nlines\r\n',
    '',
    0,
    null,
    false,
    [],
    new Date(0),
    { toJSON: () => ({ own: 'form' }) },
    'half a character: \ud83d'
  ]
  for (const value of values) app.sse.broadcast(value)
  const events = await client.take(values.length)
  t.strictSame(
    events.map(({ data }) => data),
    values.map((value) => JSON.stringify(value))
  )
})

t.test('data is what it was at the call, whatever happens to it later', async (t) => {
  const { app, connect } = await serve(t)
  const client = await connect()
  const data = { step: 1 }
  app.sse.broadcast(data)
  data.step = 2
  app.sse.broadcast(data)
  t.match(await client.take(2), [{ data: '{"step":1}' }, { data: '{"step":2}' }])
})

t.test('a serializer of the app decides what data becomes', async (t) => {
  const serialize = (data: unknown) => `<${data}>`
  const { app, connect } = await serve(t, { sse: { serialize } })
  const client = await connect()
  app.sse.broadcast(7n)
  await app.sse.publish('two\r\nlines')
  for (const each of app.sse.clients) each.send(undefined)
  app.sse.broadcastMessage('text is no data')
  const events = await client.take(4)
  t.strictSame(
    events.map(({ data }) => data),
    ['<7>', '<two\nlines>', '<undefined>', 'text is no data']
  )
})

t.test('text arrives as it is, every kind of line break in it as a line feed', async (t) => {
  const { app, connect } = await serve(t)
  const client = await connect()
  const texts: [text: string, data: string][] = [
    ['plain', 'plain'],
    ['{"not": encoded again}', '{"not": encoded again}'],
    ['a\nb\rc\r\nd', 'a\nb\nc\nd'],
    ['a\n\nb', 'a\n\nb'],
    ['\r\n', '\n'],
    ['  spaces  ', '  spaces  '],
    ['', ''],
    ['\0 \ufeff zwölf 名前 😀', '\0 \ufeff zwölf 名前 😀'],
    ['half a character: \ud83d', 'half a character: \ufffd']
  ]
  for (const [text] of texts) app.sse.broadcastMessage(text)
  const events = await client.take(texts.length)
  t.strictSame(
    events.map(({ data }, i) => [texts[i]?.[0], data]),
    texts
  )
})

t.test('an event has the name it was given, as far as UTF-8 has a form for it', async (t) => {
  const { app, connect } = await serve(t)
  const client = await connect()
  const names: [given: string | undefined, name: string | undefined][] = [
    ['todo.created', 'todo.created'],
    [' 名前: x', ' 名前: x'],
    ['half \ud83d', 'half \ufffd'],
    ['', undefined],
    [undefined, undefined]
  ]
  for (const [event] of names) app.sse.broadcast('x', { event })
  const events = await client.take(names.length)
  t.strictSame(
    events.map(({ event }, i) => [names[i]?.[0], event]),
    names
  )
})

t.test(
  'an event that cannot be sent is refused at the call, nothing of it is broadcast, and no number is used',
  async (t) => {
    const { app, connect } = await serve(t, { sse: { maxEventBytes: 1000 } })
    const { sse } = app
    const client = await connect()
    const cursor = await client.waitForId()
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    const throwing = {
      toJSON: () => {
        throw new Error('no form')
      }
    }
    const refusals: [what: string, code: string, call: () => unknown][] = [
      ['undefined', 'UNSERIALIZABLE', () => sse.broadcast(undefined)],
      ['a function', 'UNSERIALIZABLE', () => sse.broadcast(() => {})],
      ['a cycle', 'UNSERIALIZABLE', () => sse.broadcast(cycle)],
      ['a BigInt', 'UNSERIALIZABLE', () => sse.broadcast({ n: 1n })],
      ['a toJSON that throws', 'UNSERIALIZABLE', () => sse.broadcast(throwing)],
      // @ts-expect-error
      ['text that is none', 'INVALID_EVENT', () => sse.broadcastMessage({ a: 1 })],
      ['a line feed in the name', 'INVALID_EVENT', () => sse.broadcast(1, { event: 'a\nb' })],
      ['a carriage return in the name', 'INVALID_EVENT', () => sse.broadcastMessage('1', { event: 'a\r' })],
      ['a NUL in the name', 'INVALID_EVENT', () => sse.broadcast(1, { event: '\0' })],
      // @ts-expect-error
      ['a name that is no text', 'INVALID_EVENT', () => sse.broadcast(1, { event: 5 })],
      ['a line feed in the id', 'INVALID_EVENT', () => sse.broadcast(1, { id: 'a\nb' })],
      ['a carriage return in the id', 'INVALID_EVENT', () => sse.broadcast(1, { id: 'a\rb' })],
      ['a NUL in the id', 'INVALID_EVENT', () => sse.broadcastMessage('1', { id: 'a\0' })],
      ['an empty id', 'INVALID_EVENT', () => sse.broadcast(1, { id: '' })],
      // @ts-expect-error
      ['an id that is no text', 'INVALID_EVENT', () => sse.broadcast(1, { id: 5 })],
      // @ts-expect-error
      ['a field that does not exist', 'INVALID_EVENT', () => sse.broadcast(1, { retry: 5 })],
      ['an id of the form that the log gives', 'INVALID_EVENT', () => sse.broadcast(1, { id: next(cursor) })],
      ['data too large', 'EVENT_TOO_LARGE', () => sse.broadcast('x'.repeat(999))],
      ['text too large', 'EVENT_TOO_LARGE', () => sse.broadcastMessage('ü'.repeat(501))],
      ['data, name and id too large', 'EVENT_TOO_LARGE', () => sse.broadcast('x'.repeat(996), { event: 'é', id: 'a' })]
    ]
    for (const [what, code, call] of refusals) t.throws(call, { code: `PYLON_SSE_ERR_${code}` }, what)
    sse.broadcast('x'.repeat(998))
    t.match(await client.next(), { id: next(cursor), data: /^"x{998}"$/ })
    t.equal(sse.stats().events, 1)
  }
)

t.test('publish rejects with what broadcast throws, and nothing of it is broadcast', async (t) => {
  const { app, connect } = await serve(t, { sse: { maxEventBytes: 1000 } })
  const client = await connect()
  const cursor = await client.waitForId()
  await t.rejects(app.sse.publish(undefined), { code: 'PYLON_SSE_ERR_UNSERIALIZABLE' })
  await t.rejects(app.sse.publish(1, { event: 'a\nb' }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
  await t.rejects(app.sse.publish('x'.repeat(999)), { code: 'PYLON_SSE_ERR_EVENT_TOO_LARGE' })
  t.equal(await app.sse.publish(1), next(cursor))
  t.match(await client.next(), { id: next(cursor), data: '1' })
})

t.test('a serializer that gives no text is refused, a promise of one included', async (t) => {
  for (const serialize of [
    () => undefined,
    async () => 'text',
    async () => Promise.reject(new Error('late')),
    () => Buffer.from('text')
  ]) {
    // @ts-expect-error
    const { app } = await serve(t, { sse: { serialize } })
    t.throws(() => app.sse.broadcast(1), { code: 'PYLON_SSE_ERR_UNSERIALIZABLE' })
    t.equal(app.sse.stats().events, 0)
  }
})

t.test('publish resolves with the id that clients see', async (t) => {
  const { app, connect } = await serve(t)
  const client = await connect()
  const cursor = await client.waitForId()
  const ids = [undefined, 'own', undefined, '7', '~', 'a: b', '__proto__', `x${cursor}`]
  const published: string[] = []
  for (const id of ids) published.push(await app.sse.publish('x', { id }))
  const events = await client.take(ids.length)
  t.strictSame(
    events.map(({ id }) => id),
    published
  )
  t.strictSame(published.slice(0, 4), [next(cursor), 'own', next(cursor, 3), '7'], 'own ids take a place in the count')
})

t.test('an id that is not ASCII is refused: most clients could not bring it back', async (t) => {
  const { app } = await serve(t)
  for (const id of ['zwölf', '😀', 'a\ud83d', '\u00a0']) {
    await t.rejects(app.sse.publish(1, { id }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' }, JSON.stringify(id))
  }
})

t.test('an id is refused while the log holds an event with it, and free after', async (t) => {
  const { app, connect } = await serve(t, { sse: { history: { events: 2 }, queueDepth: 2 } })
  const client = await connect()
  const duplicate = { code: 'PYLON_SSE_ERR_DUPLICATE_ID', message: /'own'/ }
  app.sse.broadcast(1, { id: 'own' })
  t.throws(() => app.sse.broadcast('refused', { id: 'own' }), duplicate)
  app.sse.broadcast(2)
  t.throws(() => app.sse.broadcastMessage('refused', { id: 'own' }), duplicate)
  await t.rejects(app.sse.publish('refused', { id: 'own' }), duplicate)
  app.sse.broadcast(3)
  app.sse.broadcast(4, { id: 'own' })
  const events = await client.take(4)
  t.strictSame(
    events.map(({ data }) => data),
    ['1', '2', '3', '4']
  )
})

t.test('a serializer may broadcast events of its own: they come first, and their ids are taken', async (t) => {
  const serialize = (data: unknown) => {
    if (typeof data === 'string') app.sse.broadcast(1, { id: data })
    return String(data)
  }
  const { app, connect } = await serve(t, { sse: { serialize } })
  const client = await connect()
  app.sse.broadcast('outer')
  t.throws(() => app.sse.broadcast('own', { id: 'own' }), { code: 'PYLON_SSE_ERR_DUPLICATE_ID' })
  app.sse.broadcast(2)
  t.match(await client.take(4), [
    { id: 'outer', data: '1' },
    { data: 'outer' },
    { id: 'own', data: '1' },
    { data: '2' }
  ])
})

t.test('an event of 1 MiB arrives whole; one byte more is refused', async (t) => {
  const { app, connect } = await serve(t)
  const client = await connect()
  const text = `${'ü\n'.repeat(MIB / 3)}x`
  t.equal(Buffer.byteLength(text), MIB)
  app.sse.broadcastMessage(text)
  t.throws(() => app.sse.broadcastMessage(`${text}x`), { code: 'PYLON_SSE_ERR_EVENT_TOO_LARGE' })
  app.sse.broadcast('x'.repeat(MIB - 2))
  t.throws(() => app.sse.broadcast('x'.repeat(MIB - 1)), { code: 'PYLON_SSE_ERR_EVENT_TOO_LARGE' })
  const [lines, json] = await client.take(2)
  t.ok(lines?.data === text, 'its 349,525 lines of text')
  t.ok(json?.data === JSON.stringify('x'.repeat(MIB - 2)), 'its JSON')
})

t.test('broadcast and publish are typed', async (t) => {
  const { app } = await serve(t)
  app.sse.broadcast({ any: ['thing'] }, { event: undefined, id: undefined })
  const id: string = await app.sse.publish(1)
  t.type(id, 'string')
  // Never called: what matters is that the compiler refuses each.
  const misuses = (sse: FastifyInstance['sse']) => {
    // @ts-expect-error
    sse.broadcast()
    // @ts-expect-error
    sse.broadcast(1, 'name')
    // @ts-expect-error
    sse.broadcastMessage(1)
    // @ts-expect-error
    sse.publish(1, { name: 'x' })
    // @ts-expect-error
    sse.clientCount = 1
  }
  t.type(misuses, 'function')
})

/** The id that the log gives `n` events after this cursor. */
function next(cursor: string, n = 1): string {
  const [epoch, seq] = cursor.split('-')
  return `${epoch}-${Number(seq) + n}`
}
