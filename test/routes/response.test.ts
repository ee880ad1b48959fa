import t from 'tap'
import { fieldsOf } from '../kit/answers.js'
import { greetingOf } from '../kit/greeting.js'
import { serve } from '../kit/server.js'

t.test('the response has the headers of the wire format, and no others', async (t) => {
  const expected = {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
    'access-control-allow-origin': '*'
  }
  const { date, ...fields } = fieldsOf(await (await serve(t)).connect())
  t.ok(Date.parse(date!), 'a date')
  t.strictSame(fields, { ...expected, connection: 'keep-alive', 'transfer-encoding': 'chunked' })

  const { date: _, ...overHttp2 } = fieldsOf(await (await serve(t, { transport: 'h2c' })).connectH2())
  t.strictSame(overHttp2, expected, 'HTTP/2 has neither of the connection and its framing')
})

t.test(
  'the body is a greeting with the reconnection time and the cursor, then the events, byte for byte',
  async (t) => {
    for (const retry of [undefined, 3000, 0]) {
      const s = await serve(t, { sse: retry === undefined ? {} : { retry } })
      const client = await s.connect()
      s.app.sse.broadcast({ id: 7 }, { event: 'todo.created' })
      s.app.sse.broadcastMessage('two\nlines')
      s.app.sse.broadcast(null, { id: 'my own' })
      await client.take(3)
      const epoch = /id: (\w+)-0\n/.exec(client.body)?.[1]
      t.equal(
        client.body,
        greetingOf(client, `${epoch}-0`, retry) +
          `id: ${epoch}-1\nevent: todo.created\ndata: {"id":7}\n\n` +
          `: text\nid: ${epoch}-2\ndata: two\ndata: lines\n\n` +
          'id: my own\ndata: null\n\n'
      )
    }
  }
)

t.test('a quiet client gets keepalives', async (t) => {
  const s = await serve(t, { sse: { keepAliveInterval: 50 } })
  const client = await s.connect()
  await client.waitForComment('keepalive', 2)
  t.match(client.body, /\n\n: keepalive\n: keepalive\n/, 'a line, of which no client makes a message')
})
