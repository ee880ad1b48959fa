import t from 'tap'
import { answerOf, fieldsOf } from '../kit/answers.js'
import { getsIn, ONE_SLOT } from '../kit/one-slot.js'
import { serve } from '../kit/server.js'

t.test('HEAD answers the head and no stream, and takes no slot', async (t) => {
  for (const transport of ['http', 'h2c'] as const) {
    const s = await serve(t, { transport, sse: { ...ONE_SLOT, keepAliveInterval: 50 } })
    const open = (method: string) => (transport === 'http' ? s.connect({ method }) : s.connectH2({ method }))
    const early = await open('HEAD')
    await early.waitForEnd()
    await early.close()
    const stream = await open('GET')
    t.equal(stream.status, 200, `${transport}: the HEAD before it holds no slot`)
    const head = await open('HEAD')
    t.equal(head.status, 200, `${transport}: nor does it need one`)
    await head.waitForEnd()
    await stream.waitForComment('keepalive')
    t.equal(head.body, '')
    t.equal(s.app.sse.clientCount, 1)
    const { date, connection, 'keep-alive': timeout, ...fields } = fieldsOf(head)
    const { date: _, connection: __, 'transfer-encoding': ___, ...expected } = fieldsOf(stream)
    t.strictSame(fields, expected, `${transport}: the fields of the stream`)
    await head.close()
    await stream.close()
  }
})

t.test('a request whose Accept rules out both the stream and JSON gets 406, and takes no slot', async (t) => {
  const accepted = [
    undefined,
    '',
    '*/*',
    'text/*',
    'text/event-stream',
    'Text/Event-Stream',
    'text/event-stream;q=0.1',
    'application/json;q=0.001, text/event-stream;q=0.9',
    'text/html, application/xhtml+xml, */*;q=0.8',
    ['application/json;q=0.5', 'text/event-stream'],
    '*/*;q=0, text/event-stream'
  ]
  const refused = [
    'application/xml',
    'text/html, application/ld+json',
    'text/event-stream;q=0',
    'text/event-stream;q=0, application/json;q=0, */*',
    'text/event-stream;q=0.0, text/*',
    'text/*;q=0, application/json;q=0, */*',
    '*/*;q=0',
    'text/html',
    'text/event-streams',
    ['text/html', 'image/png']
  ]
  const s = await serve(t, { sse: ONE_SLOT })
  for (const accept of refused) {
    const answer = await answerOf(s, { headers: { accept } })
    t.equal(answer.status, 406, String(accept))
    t.match(JSON.parse(answer.body), {
      statusCode: 406,
      code: 'PYLON_SSE_ERR_NOT_ACCEPTABLE',
      error: 'Not Acceptable',
      message: /text\/event-stream/
    })
    t.equal((await answerOf(s, { method: 'HEAD', headers: { accept } })).status, 406, `HEAD ${accept}`)
  }
  t.equal(s.app.sse.stats().rejected.notAcceptable, 2 * refused.length)
  for (const accept of accepted) {
    const client = await getsIn(t, s, `${accept}`, { headers: { accept } })
    for (const each of s.app.sse.clients) each.close()
    await client.waitForEnd()
  }
})
